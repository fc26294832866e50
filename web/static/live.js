// What came since the page was made: asked for every two seconds, shown when somebody wants it.
const all = s => [...document.querySelectorAll(s)];
let at = 0, timer;
const look = async () => {
  const asks = all('[data-live]').map(e => e.dataset.live).join('&');
  if (asks && navigator.onLine) try {
    const said = await (await fetch(`/live?at=${at}&${asks}`)).json(); // throws on 204
    at = said.at;
    for (const a of all('.news a')) {
      a.textContent = said[a.parentNode.id];
      a.parentNode.hidden = !a.textContent;
    }
  } catch {}
  clearTimeout(timer);
  timer = setTimeout(look, document.hidden ? 60000 : 2000);
};
addEventListener('htmx:after:swap', () => at = 0);
addEventListener('visibilitychange', look);
look();
