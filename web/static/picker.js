// A field with a list below it that follows what one types and is gone through by the arrow keys (a combobox).
let count = 0;

// A part of a page of ours.
export const part = async (address, what, signal) => {
  const answer = await fetch(address, {signal});
  const found = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector(what);
  if (!found) location = answer.url; // signed out
  return document.adoptNode(found);
};

const listed = box => {
  box.querySelectorAll('section').forEach(e => e.role = 'group');
  box.querySelectorAll('h2, ul, li, form').forEach(e => e.role = 'presentation');
  box.querySelectorAll('a, button').forEach(e => {
    e.role = 'option';
    e.id ||= `option-${++count}`;
    e.tabIndex = -1;
    e.ariaSelected = false;
  });
};

// `ask` gives the address for what was typed, `more` what stands before what comes from there.
export const picker = (input, box, {ask, more = () => [], first = false, shown = () => {}}) => {
  let at, way, timer;
  const options = () => [...box.querySelectorAll('[role=option]')];
  const pick = option => {
    if (at) at.ariaSelected = false;
    at = option;
    if (at) at.ariaSelected = true;
    at ? input.setAttribute('aria-activedescendant', at.id) : input.removeAttribute('aria-activedescendant');
    at?.scrollIntoView({block: 'nearest'});
  };
  const look = async () => {
    way?.abort();
    way = new AbortController();
    const typed = input.value.trim(), address = ask(typed);
    try {
      const found = address ? await part(address, '#options', way.signal) : null;
      box.replaceChildren(...more(typed), ...found?.children || []);
    } catch {
      return; // another letter came, or there is no connection: what stands there stays
    }
    listed(box);
    pick(first ? options()[0] : null);
    shown(options().length > 0);
  };
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(look, 120);
  });
  input.addEventListener('keydown', e => {
    const all = options(), here = all.indexOf(at), by = {ArrowDown: 1, ArrowUp: -1}[e.key];
    if (e.isComposing) return;
    if (by && all.length) {
      e.preventDefault();
      pick(here < 0 ? all.at(by > 0 ? 0 : -1) : all[(here + by + all.length) % all.length]);
    }
    if (e.key == 'Enter' && at?.isConnected) {
      e.preventDefault();
      at.click();
    }
  });
  return {look, pick};
};
