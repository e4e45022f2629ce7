// What a cursor is: `<generation>.<position>`, read, written and compared. Not where it is kept (`stored_cursor.ts`).
const SHAPE = /^([1-9]\d{0,9})\.(0|[1-9]\d{0,15})$/;
const GENERATION_MAX = 2 ** 32 - 1;
/**
 * A place in a user's log. `position` is the offset behind the last notification seen, which is the next one to read.
 * Only `parse` makes one, so a cursor that exists is a valid one.
 */
export class Cursor {
    generation;
    position;
    constructor(generation, position) {
        this.generation = generation;
        this.position = position;
    }
    /** The cursor a text names, or undefined where it names none. */
    static parse(text) {
        const match = typeof text === "string" ? SHAPE.exec(text) : null;
        if (match === null)
            return undefined;
        const generation = Number(match[1]);
        const position = Number(match[2]);
        if (generation > GENERATION_MAX || !Number.isSafeInteger(position))
            return undefined;
        return new Cursor(generation, position);
    }
    /** Generations first: positions of different generations say nothing about each other. */
    isAfter(other) {
        if (other === undefined)
            return true;
        if (this.generation !== other.generation)
            return this.generation > other.generation;
        return this.position > other.position;
    }
    toString() {
        return `${this.generation}.${this.position}`;
    }
}
