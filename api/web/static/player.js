/* The lesson page: HLS by the browser itself or by hls.js, jumps, the line that is being said, and the speed.
   ES5 on purpose: it runs in the browsers inside old phones' apps. Without it the page still plays where HLS is native. */
(function () {
  'use strict';

  var HLS_TYPE = 'application/vnd.apple.mpegurl';
  var RATE_KEY = 'huikan-rate';
  var LET_ALONE_MS = 4000; // whoever scrolls the transcript reads: do not pull it away

  var video = document.getElementById('video');
  if (!video) { return; }
  var notice = document.getElementById('notice');
  var source = video.querySelector('source');
  var hls = null;
  var wanted = Number(video.getAttribute('data-start')) || 0; // seconds to start at, until the player is there
  var renewedAt = 0;
  var plays = false; // what the viewer wants: a new source silently pauses the element

  // --- sources ---------------------------------------------------------------------------------------------------

  function isNative() { return video.canPlayType(HLS_TYPE) !== ''; }

  function canScript() { return !!(window.MediaSource || window.ManagedMediaSource); }

  function playNatively(address) {
    video.src = address;
    video.load();
    if (plays) { play(); }
  }

  function withHls(done) {
    if (window.Hls) { done(); return; }
    var script = document.createElement('script');
    script.src = video.getAttribute('data-hls');
    script.onload = done;
    script.onerror = function () { tell('播放组件没有加载成功，请检查网络后刷新页面。'); };
    document.head.appendChild(script);
  }

  function playByScript(address) {
    withHls(function () {
      if (!window.Hls.isSupported()) { tell('这个浏览器不能播放，请换用系统自带浏览器或 Chrome。'); return; }
      if (hls) { hls.destroy(); }
      hls = new window.Hls({
        enableWorker: false, // fMP4 needs no repackaging, and a worker would need a wider content policy
        startPosition: wanted || -1,
        subtitleStreamController: undefined, // the <track> beside the video shows the captions
        subtitleTrackController: undefined,
        timelineController: undefined
      });
      hls.on(window.Hls.Events.MANIFEST_PARSED, function () { if (plays) { play(); } });
      hls.on(window.Hls.Events.ERROR, function (_name, data) {
        if (!data.fatal) { return; }
        if (data.type === window.Hls.ErrorTypes.NETWORK_ERROR) { renew(); } else { hls.recoverMediaError(); }
      });
      hls.loadSource(address);
      hls.attachMedia(video);
      video.setAttribute('data-by', 'hls.js');
    });
  }

  function failed() {
    if (hls) { return; }
    if (video.readyState === 0 && canScript() && !renewedAt) {
      if (source && source.parentNode) { source.parentNode.removeChild(source); }
      video.removeAttribute('src');
      playByScript(video.getAttribute('data-playlist'));
    } else {
      renew();
    }
  }

  /* Signed addresses end after some hours: a lesson that was paused over lunch asks for new ones. */
  function renew() {
    var now = new Date().getTime();
    if (now - renewedAt < 60000) { tell('播放中断了，请检查网络后刷新页面。'); return; }
    renewedAt = now;
    var request = new XMLHttpRequest();
    request.open('GET', '/api/lessons/' + video.getAttribute('data-lesson') + '/playback');
    request.setRequestHeader('Accept', 'application/json');
    request.onload = function () {
      if (request.status !== 200) { tell('这节课现在不能播放，请刷新页面或重新进入。'); return; }
      var playback = JSON.parse(request.responseText);
      wanted = video.currentTime || wanted;
      if (hls || !isNative()) { playByScript(playback.playlist); } else { playNatively(playback.playlist); }
    };
    request.onerror = function () { tell('网络断开了，恢复后请刷新页面。'); };
    request.send();
  }

  function tell(text) {
    notice.textContent = text;
    notice.hidden = false;
  }

  // --- jumping ---------------------------------------------------------------------------------------------------

  function play() {
    var started = video.play();
    if (started && started['catch']) { started['catch'](function () { /* the viewer presses play then */ }); }
  }

  function goTo(seconds) {
    wanted = seconds;
    if (video.readyState > 0) {
      video.currentTime = seconds;
    }
    play();
    if (window.history.replaceState) {
      window.history.replaceState(null, '', addressAt(seconds));
    }
  }

  function addressAt(seconds) {
    var kept = window.location.search.slice(1).split('&').filter(function (pair) {
      return pair && pair.indexOf('t=') !== 0;
    });
    return window.location.pathname + '?' + ['t=' + seconds].concat(kept).join('&');
  }

  video.addEventListener('play', function () { plays = true; });
  video.addEventListener('pause', function () { plays = false; });

  video.addEventListener('loadedmetadata', function () {
    notice.hidden = true;
    if (wanted && Math.abs(video.currentTime - wanted) > 0.5) { video.currentTime = wanted; }
    video.playbackRate = rate;
  });

  document.addEventListener('click', function (event) {
    var link = event.target.closest ? event.target.closest('[data-ms]') : null;
    if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey || event.button) { return; }
    event.preventDefault();
    goTo(Number(link.getAttribute('data-ms')) / 1000);
  });

  // --- the line that is being said ---------------------------------------------------------------------------------

  var panel = document.getElementById('lines');
  var lines = panel ? panel.querySelectorAll('[data-ms]') : [];
  var starts = Array.prototype.map.call(lines, function (line) { return Number(line.getAttribute('data-ms')); });
  var current = -1;
  var touchedAt = 0;

  function lineAt(ms) {
    var low = 0, high = starts.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (starts[middle] <= ms) { low = middle + 1; } else { high = middle; }
    }
    return low - 1;
  }

  function follow() {
    var next = lineAt(video.currentTime * 1000 + 50);
    if (next === current) { return; }
    if (lines[current]) { lines[current].removeAttribute('aria-current'); }
    current = next;
    if (!lines[current]) { return; }
    lines[current].setAttribute('aria-current', 'true');
    if (new Date().getTime() - touchedAt > LET_ALONE_MS) {
      var line = lines[current];
      panel.scrollTop = line.offsetTop - panel.clientHeight / 2 + line.clientHeight / 2;
    }
  }

  if (panel) {
    ['wheel', 'touchmove', 'keydown'].forEach(function (name) {
      panel.addEventListener(name, function () { touchedAt = new Date().getTime(); }, { passive: true });
    });
    video.addEventListener('timeupdate', follow);
    video.addEventListener('seeked', follow);
  }

  // --- speed -------------------------------------------------------------------------------------------------------

  var rates = document.getElementById('rates');
  var rate = 1;

  function setRate(value) {
    rate = value;
    video.defaultPlaybackRate = value; // survives a new source
    video.playbackRate = value;
    Array.prototype.forEach.call(rates.querySelectorAll('button'), function (button) {
      button.setAttribute('aria-pressed', String(Number(button.value) === value));
    });
    try { window.localStorage.setItem(RATE_KEY, String(value)); } catch (_error) { /* private mode: not remembered */ }
  }

  function rememberedRate() {
    try { return Number(window.localStorage.getItem(RATE_KEY)) || 1; } catch (_error) { return 1; }
  }

  rates.hidden = false;
  rates.addEventListener('click', function (event) {
    if (event.target.value) { setRate(Number(event.target.value)); }
  });
  setRate(rememberedRate());

  // --- begin ---------------------------------------------------------------------------------------------------------

  video.addEventListener('error', failed);
  if (isNative()) {
    if (source) { source.addEventListener('error', failed); }
    if (video.networkState === 3) { failed(); } // NETWORK_NO_SOURCE: it had failed before we listened
  } else if (canScript()) {
    playByScript(video.getAttribute('data-playlist'));
  } else {
    tell('这个浏览器不能播放，请换用系统自带浏览器或 Chrome。');
  }
}());
