/** Runs in a page, and is worth the violations that it finds there, each as a sentence. */
;(() => {
  const found = []
  const nameOf = (element) => `<${element.tagName.toLowerCase()} ${element.id || element.className}>`
  const isShown = (element) => element.checkVisibility({ checkVisibilityCSS: true })

  if (document.documentElement.lang === "") found.push("the page has no language")
  if (document.title === "") found.push("the page has no title")
  if (document.querySelectorAll("main").length !== 1) found.push("there is not one main landmark")
  if (document.querySelectorAll("h1").length !== 1) found.push("there is not one h1")

  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id)
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i)))
    found.push(`two elements have the id ${id}`)

  let level = 0
  for (const heading of [...document.querySelectorAll("h1, h2, h3, h4")].filter(isShown)) {
    const own = Number(heading.tagName[1])
    if (own > level + 1) found.push(`${nameOf(heading)} skips a level of headings`)
    level = own
  }
  for (const image of document.querySelectorAll("img:not([alt])")) found.push(`${nameOf(image)} has no alt`)
  for (const picture of document.querySelectorAll("svg[role=img]:not([aria-label])")) {
    found.push(`${nameOf(picture)} has no name`)
  }
  for (const list of document.querySelectorAll("ul, ol")) {
    if ([...list.children].some(({ tagName }) => tagName !== "LI"))
      found.push(`${nameOf(list)} has more than items`)
  }
  for (const cell of document.querySelectorAll("thead th")) {
    if (cell.getAttribute("scope") !== "col" || cell.textContent === "") found.push("a column has no header")
  }
  for (const element of document.querySelectorAll("[aria-labelledby]")) {
    if (document.getElementById(element.getAttribute("aria-labelledby") ?? "") === null) {
      found.push(`${nameOf(element)} is named by what is not there`)
    }
  }

  // Contrast of each text with what lies behind it.
  const parse = (colour) => {
    const [r = 0, g = 0, b = 0, a = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number)
    return { r, g, b, a }
  }
  const over = (top, bottom) => {
    const mix = (x, y) => x * top.a + y * (1 - top.a)
    return { r: mix(top.r, bottom.r), g: mix(top.g, bottom.g), b: mix(top.b, bottom.b), a: 1 }
  }
  const behind = (element) => {
    if (element === null) return { r: 255, g: 255, b: 255, a: 1 }
    const own = parse(getComputedStyle(element).backgroundColor)
    return own.a === 1 ? own : over(own, behind(element.parentElement))
  }
  const luminance = ({ b, g, r }) => {
    const [x = 0, y = 0, z = 0] = [r, g, b]
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent?.trim() ?? ""
    const element = texts.currentNode.parentElement
    if (text === "" || element === null || !isShown(element)) continue
    const style = getComputedStyle(element)
    const ground = behind(element)
    const ink = over(parse(element instanceof SVGElement ? style.fill : style.color), ground)
    const [dark = 0, light = 0] = [luminance(ink), luminance(ground)].sort((a, b) => a - b)
    const contrast = (light + 0.05) / (dark + 0.05)
    if (contrast < 4.5) found.push(`"${text}" in ${nameOf(element)} has a contrast of ${contrast.toFixed(2)}`)
  }

  // What scrolls has to be reached by keyboard; what overflows the page cannot be read on a phone.
  for (const element of document.querySelectorAll("*")) {
    const scrolls =
      /auto|scroll/.test(getComputedStyle(element).overflowX) && element.scrollWidth > element.clientWidth
    if (scrolls && element.tabIndex < 0) found.push(`${nameOf(element)} scrolls, but not by keyboard`)
  }
  const { clientWidth, scrollWidth } = document.documentElement
  if (scrollWidth > clientWidth) found.push(`the page is ${scrollWidth} wide in a window of ${clientWidth}`)
  return found
})()
