/* Suggestions under the search box while somebody types: characters, pinyin or initials, also inside an input method, whose
   letters are suggested for as they come. Keys belong to the input method while it composes. Without this file the box works
   all the same. What was looked for in this tab is offered again in it; leaving forgets it. */
(function () {
  'use strict';
  var form = document.querySelector('.seek');
  var input = form && form.querySelector('input[name="q"]');
  if (!input || !window.fetch) { return; }
  var WAIT_MS = 120, RECENT = 'recent', RECENT_COUNT = 6;
  var list = document.createElement('ul');
  var timer = 0, asked = 0, active = -1;
  list.id = 'suggestions';
  list.className = 'suggestions';
  list.setAttribute('role', 'listbox');
  list.setAttribute('aria-label', '搜索提示');
  list.hidden = true;
  form.appendChild(list);
  input.setAttribute('role', 'combobox');
  input.setAttribute('aria-controls', list.id);
  input.setAttribute('aria-autocomplete', 'list');
  input.setAttribute('aria-expanded', 'false');

  function recent() {
    try { return JSON.parse(window.sessionStorage.getItem(RECENT) || '[]'); } catch (error) { return []; }
  }

  function remember(text) {
    var known = recent().filter(function (one) { return one !== text; });
    try { window.sessionStorage.setItem(RECENT, JSON.stringify([text].concat(known).slice(0, RECENT_COUNT))); } catch (error) { /* a private window */ }
  }

  function show(texts) {
    active = -1;
    list.textContent = '';
    texts.forEach(function (text, index) {
      var item = document.createElement('li');
      item.id = 'suggestion-' + index;
      item.setAttribute('role', 'option');
      item.textContent = text;
      item.addEventListener('mousedown', function (event) {
        event.preventDefault();  // the box keeps the focus
        choose(text);
      });
      list.appendChild(item);
    });
    list.hidden = !texts.length;
    input.setAttribute('aria-expanded', String(!list.hidden));
    input.removeAttribute('aria-activedescendant');
  }

  function choose(text) {
    input.value = text;
    show([]);
    if (form.requestSubmit) { form.requestSubmit(); } else { form.submit(); }
  }

  function move(step) {
    var items = list.children;
    if (active >= 0) { items[active].removeAttribute('aria-selected'); }
    active = (active + step + items.length + 1) % (items.length + 1);
    if (active === items.length) { active = -1; }
    if (active >= 0) {
      items[active].setAttribute('aria-selected', 'true');
      input.setAttribute('aria-activedescendant', items[active].id);
    } else {
      input.removeAttribute('aria-activedescendant');
    }
  }

  function ask() {
    var text = input.value.trim();
    var mine = ++asked;
    if (!text) { show(recent()); return; }
    window.fetch('/api/suggest?q=' + encodeURIComponent(text.slice(0, 64)), { credentials: 'same-origin' })
      .then(function (answer) { return answer.ok ? answer.json() : { suggestions: [] }; })
      .then(function (found) {
        if (mine === asked && document.activeElement === input) { show(found.suggestions); }
      })
      .catch(function () { /* the next key asks again */ });
  }

  input.addEventListener('input', function () {
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, WAIT_MS);
  });
  input.addEventListener('focus', function () { if (!input.value) { show(recent()); } });
  input.addEventListener('blur', function () { asked++; show([]); });
  input.addEventListener('keydown', function (event) {
    if (event.isComposing || event.keyCode === 229 || list.hidden) { return; }
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      move(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter' && active >= 0) {
      event.preventDefault();
      choose(list.children[active].textContent);
    } else if (event.key === 'Escape') {
      event.preventDefault();
      show([]);
    }
  });
  form.addEventListener('submit', function () { if (input.value.trim()) { remember(input.value.trim()); } });
  Array.prototype.forEach.call(document.querySelectorAll('form[action="/leave"]'), function (leaving) {
    leaving.addEventListener('submit', function () { window.sessionStorage.removeItem(RECENT); });
  });
}());
