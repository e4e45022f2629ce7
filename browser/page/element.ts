// Finds the elements the page was written with. One that is missing is a mistake in `index.html`, said at once.

export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`no element #${id}`);
  return element as Kind;
}

export function within<Kind extends Element = HTMLElement>(parent: ParentNode, selector: string): Kind {
  const element = parent.querySelector<Kind>(selector);
  if (element === null) throw new Error(`no element ${selector}`);
  return element;
}

/** A copy of the one element inside a template. */
export function fromTemplate(id: string): HTMLElement {
  const { firstElementChild } = byId<HTMLTemplateElement>(id).content;
  if (firstElementChild === null) throw new Error(`#${id} is empty`);
  return firstElementChild.cloneNode(true) as HTMLElement;
}
