// All that can be done, found by typing (Ctrl K): what the server knows, and what the page behind can do.
import {picker} from './picker.js';

const plain = text => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
const dialog = document.querySelector('#palette');
const input = dialog.querySelector('input'), box = dialog.querySelector('[role=listbox]');
dialog.addEventListener('click', e => e.target == dialog && dialog.close());

// What has a key on this page and is no place of the rail.
const actions = typed => [...document.querySelectorAll('[data-does]')].filter(e =>
  !e.closest('.rail, dialog, .menu, .brand') && !e.matches('[data-palette]') && e.checkVisibility?.() !== false
  && plain(e.title || e.textContent).includes(plain(typed)));
const here = (heading, typed) => {
  const some = actions(typed);
  if (!some.length) return [];
  const section = document.createElement('section'), h2 = document.createElement('h2'), ul = document.createElement('ul');
  h2.textContent = heading;
  h2.id = 'options-here';
  section.setAttribute('aria-labelledby', h2.id);
  section.append(h2, ul);
  for (const e of some) {
    const li = document.createElement('li'), button = document.createElement('button'), label = document.createElement('span');
    const icon = e.querySelector('svg')?.cloneNode(true);
    label.textContent = e.title || e.textContent.trim();
    button.type = 'button';
    button.append(...icon ? [icon] : [], label);
    button.addEventListener('click', () => {
      dialog.close();
      e.click();
    });
    li.append(button);
    ul.append(li);
  }
  return [section];
};

const back = () => encodeURIComponent(location.pathname + location.search);
const {look} = picker(input, box, {
  ask: typed => `${input.dataset.source}?part=1&back=${back()}&q=${encodeURIComponent(typed)}`,
  more: typed => here(box.dataset.here, typed),
  first: true,
});

export const open = () => {
  if (dialog.open) return dialog.close();
  input.value = '';
  box.replaceChildren();
  dialog.showModal();
  look();
};
