// The cursor a page starts from, kept per cluster and user. Not the one a tab dedupes by (`session.ts` has that).
//
// Several tabs of one user share it, each with a socket of its own. It is the highest cursor any of them acknowledged:
// a page loaded later starts there, because its user has seen everything before. It is read at load only. A tab that
// reconnects presents its own cursor, or it would skip what only another tab has shown.
import { Cursor } from "./cursor.js";
export class StoredCursor {
    key;
    #storage;
    #written;
    constructor(storage, cluster, user) {
        this.#storage = storage;
        this.key = `peal:${cluster}:${user}:cursor`;
    }
    /** A storage that refuses, or holds something else, means starting without a cursor: more may come, never less. */
    read() {
        try {
            return Cursor.parse(this.#storage?.getItem(this.key));
        }
        catch {
            return undefined;
        }
    }
    /** Never moves it backwards. A storage that is full costs repeats after the next load, so it stops nothing. */
    raise(cursor) {
        this.#written = cursor;
        if (!cursor.isAfter(this.read()))
            return;
        try {
            this.#storage?.setItem(this.key, cursor.toString());
        }
        catch {
            return;
        }
    }
    /**
     * Another tab wrote `text`. Storage has no compare-and-set: two tabs that read, compare and write at the same moment
     * can leave the lower of the two. The one that wrote the higher sees that here and writes it again.
     */
    handleOtherTab(text) {
        const other = Cursor.parse(text);
        if (other !== undefined && this.#written?.isAfter(other))
            this.raise(this.#written);
    }
}
