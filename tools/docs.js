// What a page of `make docs` does beside being read: search, copy, light or dark. PLACES comes from search.js.
document.addEventListener("DOMContentLoaded", () => {
  const up = document.querySelector("script[data-up]").dataset.up, root = document.documentElement
  const keep = { get: () => { try { return localStorage.mode } catch { return "" } },
                 set: mode => { try { localStorage.mode = mode } catch { /* pages opened as files may not remember */ } } }
  const make = (tag, values) => Object.assign(document.createElement(tag), values)

  if (keep.get()) root.dataset.mode = keep.get()
  document.querySelector("#mode").onclick = () => {
    const dark = root.dataset.mode ? root.dataset.mode === "dark" : matchMedia("(prefers-color-scheme: dark)").matches
    keep.set(root.dataset.mode = dark ? "light" : "dark")
  }

  const chapters = document.querySelector(".chapters")
  chapters.open = matchMedia("(min-width: 62rem)").matches
  const menu = chapters.querySelector("nav"), here = chapters.querySelector("[aria-current]")
  if (here) menu.scrollTop = here.getBoundingClientRect().top - menu.getBoundingClientRect().top - 100

  for (const heading of document.querySelectorAll("main h2[id], main h3[id]"))
    heading.append(make("a", { className: "anchor", href: "#" + heading.id, textContent: "#", ariaLabel: "Link to here" }))

  for (const code of document.querySelectorAll("div.sourceCode")) {
    const button = make("button", { className: "copy", textContent: "copy" })
    button.onclick = async () => {
      await navigator.clipboard.writeText(code.querySelector("code").innerText)
      button.textContent = "copied"
    }
    code.append(button)
  }

  const input = document.querySelector("input[type=search]"), list = make("ul", { className: "found" })
  input.after(list)
  input.oninput = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean)
    const rank = text => text.toLowerCase() === words.join(" ") ? 0 : text.toLowerCase().startsWith(words[0]) ? 1 : 2
    const hits = PLACES.filter(([text]) => words.length && words.every(word => text.toLowerCase().includes(word)))
    hits.sort((a, b) => rank(a[0]) - rank(b[0]))
    list.replaceChildren(...hits.slice(0, 12).map(([text, page, anchor, title]) => {
      const item = make("li", {})
      item.append(make("a", { href: up + page + anchor, textContent: title ? `${text} (${title})` : text }))
      return item
    }))
  }
})
