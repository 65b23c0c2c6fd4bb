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

/** Replaces what is in `parent` when what it is made from has changed. */
export const replace = (parent, data, make) => {
  const key = JSON.stringify(data)
  if (shown.get(parent) === key) return
  shown.set(parent, key)
  parent.replaceChildren(...make())
}
