// What the server refused: a note beside its row, or below the bar of its conversation, until somebody puts it away.
import {$, focus} from './keys.js';

const notes = new Map();
const bar = id => $(`#acts:has([name=t][value="${id}"])`);
export const put = () => notes.forEach(({note, id, below}) => {
  if (note.isConnected) return;
  const at = below ? bar(id) : $(`.row[data-ticket="${id}"]`) || $('.list > .head > :last-child');
  const li = at?.matches('li') ? document.createElement('li') : null;
  li?.append(note);
  at?.after(li || note);
});
export const refuse = ({id, below}, text) => {
  const key = `${below} ${id}`, note = $('#refused').firstElementChild.cloneNode(true);
  const away = e => (e.closest('li') || e).remove();
  if (notes.has(key)) away(notes.get(key).note);
  notes.set(key, {note, id, below});
  note.querySelector('p').textContent = text;
  note.querySelector('button').addEventListener('click', () => {
    notes.delete(key);
    away(note);
    focus(below ? $('#acts .btn') : $(`.row[data-ticket="${id}"] .hit`) || $('.hit'));
  });
  put();
};
