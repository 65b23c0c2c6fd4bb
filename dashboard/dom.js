/** The few things done to the document: elements are made here, and touched only where they change. */

const shown = new WeakMap()

export const $ = (id) => document.getElementById(id)

export const text = (element, value) => {
  if (element.textContent !== value) element.textContent = value
}
export const put = (id, value) => text($(id), value)

export const attribute = (element, name, value) => {
  if (value === undefined) element.removeAttribute(name)
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

/** An element with text or elements in it. */
export const h = (name, options = {}, ...children) => {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(options)) attribute(element, key, value)
  element.append(...children)
  return element
}

/** The same for a drawing. */
export const s = (name, options = {}, ...children) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name)
  for (const [key, value] of Object.entries(options)) attribute(element, key, value)
  element.append(...children)
  return element
}

/** Replaces what is in `parent` when what it is made from has changed. A link that has the focus keeps it. */
export const replace = (parent, data, make) => {
  const key = JSON.stringify(data)
  if (shown.get(parent) === key) return
  shown.set(parent, key)
  const focused = parent.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null
  parent.replaceChildren(...make())
  if (focused !== null) parent.querySelector(`[href="${focused}"]`)?.focus({ preventScroll: true })
}
