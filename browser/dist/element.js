// Finds the elements the page was written with. One that is missing is a mistake in `index.html`, said at once.
export function byId(id) {
    const element = document.getElementById(id);
    if (element === null)
        throw new Error(`no element #${id}`);
    return element;
}
export function within(parent, selector) {
    const element = parent.querySelector(selector);
    if (element === null)
        throw new Error(`no element ${selector}`);
    return element;
}
/** A copy of the one element inside a template. */
export function fromTemplate(id) {
    const { firstElementChild } = byId(id).content;
    if (firstElementChild === null)
        throw new Error(`#${id} is empty`);
    return firstElementChild.cloneNode(true);
}
