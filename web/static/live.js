// What came since the page was made: asked for every two seconds, shown when somebody wants it. And who else is there.
import {part} from './picker.js';

const all = s => [...document.querySelectorAll(s)];
let at = 0, timer, typed = 0, there = '';
addEventListener('input', e => { if (e.target.closest('.comment-form, .compose')) typed = Date.now() });

// What was changed in rows that are there changes in place: nothing moves, focus and ticks stay.
const refresh = async rows => {
  const there = rows.filter(([ticket]) => all(`[data-ticket="${ticket}"]`).length);
  const list = new URLSearchParams(all('[data-live^="in="]')[0]?.dataset.live).get('in');
  if (!there.length || !list) return;
  const asks = new URLSearchParams([['in', list], ...there.map(([, talk]) => ['talk', talk])]);
  const now = await part(`/live/rows?${asks}`, '#changed');
  for (const row of now.children) for (const old of all(`[data-ticket="${row.dataset.ticket}"]`)) {
    for (const {name, value} of row.attributes) old.setAttribute(name, value);
    for (const name of old.getAttributeNames()) if (!row.hasAttribute(name)) old.removeAttribute(name);
    for (const what of ['.hit', '.marks']) {
      const fresh = row.querySelector(`:scope > ${what}`);
      if (fresh) old.querySelector(`:scope > ${what}`)?.replaceChildren(...fresh.childNodes);
    }
    const acts = row.querySelectorAll('.acts button');
    old.querySelectorAll('.acts button').forEach((e, i) => {
      e.value = acts[i].value; // of what it was when it was shown
      e.title = acts[i].title;
    });
  }
};

const look = async () => {
  const pill = document.querySelector('#there'), writes = Date.now() - typed < 8000;
  const asks = all('[data-live]').map(e => e.dataset.live).join('&');
  if (pill?.hidden) there = ''; // it was made anew
  const told = `${document.hidden ? '' : '&here=1'}${writes ? '&writing=1' : ''}&there=${encodeURIComponent(there)}`;
  if (asks && navigator.onLine) try {
    const said = await (await fetch(`/live?at=${at}&${asks}${told}`)).json(); // throws on 204
    at = said.at;
    there = said.there;
    if (pill) {
      pill.textContent = there;
      pill.hidden = !there;
    }
    for (const a of all('.news a')) {
      a.textContent = said[a.parentNode.id];
      a.parentNode.hidden = !a.textContent;
    }
    await refresh(said.rows);
  } catch {}
  clearTimeout(timer);
  timer = setTimeout(look, document.hidden ? 60000 : 2000);
};
addEventListener('htmx:after:swap', () => at = 0);
addEventListener('visibilitychange', look);
look();
