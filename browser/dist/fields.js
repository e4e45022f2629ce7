// What people type: read, refused in words, and shown beside the field. Not what is done with it (`page.ts`).
/** A user or community id: an integer from 0 to 2^53 - 1, the largest that every JSON reader keeps exact. */
export function parseId(text) {
    if (!/^\d{1,16}$/.test(text.trim()))
        return undefined;
    const id = Number(text);
    return Number.isSafeInteger(id) ? id : undefined;
}
/** The ids of `41,42,43`, without repeats and without what is none. */
export function parseIds(text) {
    const ids = text.split(",").map(parseId).filter((id) => id !== undefined);
    return [...new Set(ids)];
}
/** The id in a field; undefined after saying beside the field why there is none. */
export function readId(input) {
    const id = parseId(input.value);
    const refusal = `“${input.value}” is no id: give a whole number from 0 to ${Number.MAX_SAFE_INTEGER}.`;
    complain(input, id === undefined ? refusal : "");
    return id;
}
/** Shows why a field was refused; an empty text takes that back. */
export function complain(input, text) {
    const complaint = document.getElementById(input.getAttribute("aria-describedby") ?? "");
    if (complaint !== null)
        complaint.textContent = text;
    if (text === "")
        return input.removeAttribute("aria-invalid");
    input.setAttribute("aria-invalid", "true");
    input.focus();
}
