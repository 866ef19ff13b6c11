/* A teacher's own file, in pieces, straight to the object store by signed forms. Plain ES5.

   The upload's number is remembered under the file's name, size and date: after a reload, a power cut or a change of
   networks the same file goes on where it was. What is there already is not sent again, only hashed again. */
(function () {
  'use strict';
  var form = document.getElementById('upload');
  if (!form) { return; }
  var state = document.getElementById('state');
  var bar = document.getElementById('bar');
  var said = document.getElementById('said');
  var pause = document.getElementById('pause');
  var submit = form.querySelector('button[type=submit]');
  var subtle = window.crypto && (window.crypto.subtle || window.crypto.webkitSubtle);
  var WAITS = [1, 2, 5, 10, 20, 30];  /* seconds between tries */
  var upload = null, file = null, digests = [], there = {}, sentBytes = 0;
  var paused = false, tries = 0, current = null, timer = null;

  function tell(text) { state.hidden = false; said.textContent = text; }

  function remembered(key, value) {
    try {
      if (value === undefined) { return window.localStorage.getItem(key); }
      if (value === null) { window.localStorage.removeItem(key); } else { window.localStorage.setItem(key, value); }
    } catch (ignored) { /* a private window: nothing is remembered */ }
    return null;
  }

  function nameOf(chosen) { return ['huikan-upload', chosen.name, chosen.size, chosen.lastModified || 0].join('|'); }

  function ask(method, path, body, then) {
    var xhr = new XMLHttpRequest();
    xhr.open(method, path);
    xhr.setRequestHeader('Accept', 'application/json');
    if (body) { xhr.setRequestHeader('Content-Type', 'application/json'); }
    xhr.timeout = 60000;
    xhr.onload = function () {
      var answer = null;
      try { answer = JSON.parse(xhr.responseText); } catch (ignored) { /* no answer of ours */ }
      then(xhr.status, answer);
    };
    xhr.onerror = xhr.ontimeout = function () { then(0, null); };
    xhr.send(body ? JSON.stringify(body) : null);
  }

  function size(bytes) { return bytes >= 1e9 ? (bytes / 1e9).toFixed(2) + ' GB' : (bytes / 1e6).toFixed(1) + ' MB'; }

  function show(extra) {
    var done = Math.min(sentBytes + (extra || 0), file.size);
    bar.value = Math.round(1000 * done / file.size);
    tell('已上传 ' + size(done) + ' / ' + size(file.size) + '（' + Math.floor(100 * done / file.size) + '%）');
  }

  function later(what, why) {
    var wait = WAITS[Math.min(tries, WAITS.length - 1)];
    tries += 1;
    tell(why + '，' + wait + ' 秒后重试。已传的不会丢。');
    timer = window.setTimeout(what, wait * 1000);
  }

  function refused(answer, fallback) {
    tell((answer && (answer.detail || answer.title)) || fallback);
    submit.disabled = false;
    pause.hidden = true;
  }

  function take(answer) {
    var i;
    upload = answer;
    there = {};
    sentBytes = 0;
    for (i = 0; i < answer.there.length; i += 1) {
      there[answer.there[i]] = true;
      sentBytes += lengthOf(answer.there[i]);
    }
  }

  function lengthOf(number) { return Math.min(upload.piece_bytes, file.size - (number - 1) * upload.piece_bytes); }

  function pieceOf(number) {
    var from = (number - 1) * upload.piece_bytes;
    return (file.slice || file.webkitSlice || file.mozSlice).call(file, from, from + lengthOf(number));
  }

  function hex(buffer) {
    var bytes = new Uint8Array(buffer), text = '', i;
    for (i = 0; i < bytes.length; i += 1) { text += (bytes[i] < 16 ? '0' : '') + bytes[i].toString(16); }
    return text;
  }

  /* Only where the browser can: over HTTPS, or on this very machine. Elsewhere the server hashes the whole. */
  function hash(number, then) {
    if (!subtle || digests[number - 1]) { then(); return; }
    var reader = new FileReader();
    reader.onerror = function () { refused(null, '读不到这个文件，请重新选择。'); };
    reader.onload = function () {
      subtle.digest('SHA-256', reader.result).then(function (digest) {
        digests[number - 1] = hex(digest);
        then();
      }, function () { subtle = null; digests = []; then(); });
    };
    reader.readAsArrayBuffer(pieceOf(number));
  }

  function refresh(then) {
    ask('GET', '/api/uploads/' + upload.id, null, function (status, answer) {
      if (status === 200) { take(answer); then(); return; }
      if (status === 404) { forget(); refused(answer, '这次上传已过期，请重新开始。'); return; }
      if (status === 401 || status === 403) { refused(answer, '登录已失效，请重新进入后再选同一个文件。'); return; }
      later(function () { refresh(then); }, '连不上服务器');
    });
  }

  function forget() { remembered(nameOf(file), null); }

  function next() {
    var number = 1;
    if (paused) { return; }
    if (upload.state === 'done') { finished(); return; }
    if (upload.state === 'handed-in') { waitForIt(); return; }
    while (number <= upload.pieces && there[number] && (!subtle || digests[number - 1])) { number += 1; }
    if (number > upload.pieces) { finish(); return; }
    hash(number, function () { if (there[number]) { next(); } else { send(number); } });
  }

  function send(number) {
    var data = new FormData(), name;
    for (name in upload.form.fields) {
      if (Object.prototype.hasOwnProperty.call(upload.form.fields, name)) { data.append(name, upload.form.fields[name]); }
    }
    data.append('key', upload.form.prefix + ('0000' + number).slice(-5));
    data.append('file', pieceOf(number), 'piece');
    current = new XMLHttpRequest();
    current.open('POST', upload.form.url);
    current.timeout = 600000;
    current.upload.onprogress = function (event) { show(Math.min(event.loaded, lengthOf(number))); };
    current.onload = function () {
      var status = current.status;
      current = null;
      if (status >= 200 && status < 300) {
        tries = 0;
        there[number] = true;
        sentBytes += lengthOf(number);
        show();
        next();
      } else {
        /* 403: the form's hour is over, or the clock was wrong; any other: the store is busy. A fresh form helps. */
        later(function () { refresh(next); }, '对象存储没有收下（' + status + '）');
      }
    };
    current.onerror = current.ontimeout = function () {
      current = null;
      later(function () { refresh(next); }, '网络断了');
    };
    current.send(data);
  }

  function finish() {
    tell('正在校验与合并……');
    ask('POST', '/api/uploads/' + upload.id + '/finish', { digests: subtle ? digests : [] }, function (status, answer) {
      if (status === 200) { upload = answer; waitForIt(); return; }
      if (status === 0 || status >= 500) { later(finish, '连不上服务器'); return; }
      refused(answer, '没能提交。');
    });
  }

  function waitForIt() {
    ask('GET', '/api/uploads/' + upload.id, null, function (status, answer) {
      if (status === 200) {
        upload = answer;
        if (answer.state === 'done') { finished(); return; }
        if (answer.state === 'open') {
          take(answer);
          digests = [];
          submit.disabled = false;
          submit.textContent = '继续上传';
          tell(answer.reason_zh || '没能合并，请继续上传。');
          return;
        }
      }
      tell('正在校验与合并……');
      timer = window.setTimeout(waitForIt, 2000);
    });
  }

  function finished() {
    forget();
    bar.value = 1000;
    pause.hidden = true;
    tell('已上传。');
    var link = document.createElement('a');
    link.href = '/arrivals';
    link.textContent = '查看处理进度';
    said.appendChild(link);
  }

  function value(name) { return form.elements.namedItem(name).value; }

  function begin() {
    var place = value('place').split('/');
    ask('POST', '/api/uploads', {
      school: place[0],
      room: place[1],
      started_at: value('started_at'),
      name: file.name,
      size_bytes: file.size,
      title: value('title'),
      subject: value('subject'),
      grade: value('grade'),
      teacher: value('teacher'),
      consent: form.elements.namedItem('consent').checked || null
    }, function (status, answer) {
      if (status !== 201) {
        if (status === 0 || status >= 500) { later(begin, '连不上服务器'); } else { refused(answer, '没能开始上传。'); }
        return;
      }
      remembered(nameOf(file), answer.id);
      take(answer);
      next();
    });
  }

  form.onsubmit = function (event) {
    var known;
    event.preventDefault();
    file = form.elements.namedItem('file').files[0];
    if (!file || !file.size) { tell('请选择一个文件。'); return; }
    submit.disabled = true;
    pause.hidden = false;
    paused = false;
    tries = 0;
    digests = [];
    known = upload && upload.state === 'open' ? upload.id : remembered(nameOf(file));
    if (!known) { begin(); return; }
    upload = { id: known, piece_bytes: 1, pieces: 0 };
    ask('GET', '/api/uploads/' + known, null, function (status, answer) {
      if (status === 200 && answer.size_bytes === file.size) { take(answer); show(); next(); return; }
      if (status === 200 || status === 404) { forget(); begin(); return; }
      later(function () { upload = null; form.onsubmit(event); }, '连不上服务器');
    });
  };

  pause.onclick = function () {
    paused = !paused;
    pause.textContent = paused ? '继续' : '暂停';
    if (paused) {
      if (timer) { window.clearTimeout(timer); }
      if (current) { current.abort(); current = null; }
      tell('已暂停。');
    } else {
      refresh(next);
    }
  };
}());
