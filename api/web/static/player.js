/* The lesson page: HLS by the browser itself or by hls.js, jumps, the line that is being said, the board as stills, and
   the speed. There are three ways to follow a lesson: its picture, its sound with the board, its sound alone.
   ES5 on purpose: it runs in the browsers inside old phones' apps. Without it the page still plays where HLS is native. */
(function () {
  'use strict';

  var HLS_TYPE = 'application/vnd.apple.mpegurl';
  var RATE_KEY = 'huikan-rate';
  var WAY_KEY = 'huikan-way';
  var OPUS_TYPE = 'audio/mp4; codecs="opus"';
  var LET_ALONE_MS = 4000; // whoever scrolls the transcript reads: do not pull it away

  var video = document.getElementById('video');
  if (!video) { return; }
  var notice = document.getElementById('notice');
  var source = video.querySelector('source');
  var ways = document.getElementById('ways'); // absent where there is nothing to choose
  var way = 'picture';
  var views = document.getElementById('views'); // absent where there is one picture only
  var view = 'main';
  var base = video.getAttribute('data-playlist').replace(/[^/]*$/, ''); // signed; whatever belongs to the lesson is below
  var opus = !!ways && ways.hasAttribute('data-opus') && playsOpus();
  var hls = null;
  var wanted = Number(video.getAttribute('data-start')) || 0; // seconds to start at, until the player is there
  var renewedAt = 0;
  var plays = false; // what the viewer wants: a new source silently pauses the element

  // --- sources ---------------------------------------------------------------------------------------------------

  function isNative() { return video.canPlayType(HLS_TYPE) !== ''; }

  function canScript() { return !!(window.MediaSource || window.ManagedMediaSource); }

  function playsOpus() {
    var media = window.ManagedMediaSource || window.MediaSource;
    return !!(media && media.isTypeSupported && media.isTypeSupported(OPUS_TYPE));
  }

  function address() {
    if (way === 'picture') { return base + (view === 'main' ? 'main' : 'main-' + view) + '.m3u8'; }
    return base + (opus ? 'opus' : 'audio') + '/index.m3u8';
  }

  /* One small file, for browsers that can do HLS in no way. False where there is none yet. */
  function playProgressively() {
    if (!video.hasAttribute('data-low')) { return false; }
    video.src = base + 'low.mp4';
    video.load();
    if (plays) { play(); }
    return true;
  }

  function start() {
    if (hls || !isNative()) { playByScript(); } else { playNatively(); }
  }

  /* What says that it plays Opus may not do so in HLS. False where this was not tried. */
  function withoutOpus() {
    if (way === 'picture' || !opus) { return false; }
    opus = false;
    start();
    return true;
  }

  function playNatively() {
    video.src = address();
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

  function playByScript() {
    withHls(function () {
      if (!window.Hls.isSupported()) { giveUp(); return; }
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
        if (data.type === window.Hls.ErrorTypes.NETWORK_ERROR) { renew(); } else if (!withoutOpus()) { hls.recoverMediaError(); }
      });
      hls.loadSource(address());
      hls.attachMedia(video);
      video.setAttribute('data-by', 'hls.js');
    });
  }

  function giveUp() {
    if (!playProgressively()) { tell('这个浏览器不能播放，请换用系统自带浏览器或 Chrome。'); }
  }

  function failed() {
    if (hls || withoutOpus()) { return; }
    if (video.readyState === 0 && canScript() && !renewedAt) {
      if (source && source.parentNode) { source.parentNode.removeChild(source); }
      video.removeAttribute('src');
      playByScript();
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
      base = playback.playlist.replace(/[^/]*$/, '');
      wanted = video.currentTime || wanted;
      start();
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

  function lastBefore(starts, ms) {
    var low = 0, high = starts.length;
    while (low < high) {
      var middle = (low + high) >> 1;
      if (starts[middle] <= ms) { low = middle + 1; } else { high = middle; }
    }
    return low - 1;
  }

  function follow() {
    var next = lastBefore(starts, video.currentTime * 1000 + 50);
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

  // --- the board -----------------------------------------------------------------------------------------------------

  var strip = document.getElementById('board');
  var pages = strip ? strip.querySelectorAll('[data-ms]') : [];
  var turns = Array.prototype.map.call(pages, function (page) { return Number(page.getAttribute('data-ms')); });
  var thumbs = Array.prototype.map.call(pages, withThumb); // those that are not loaded yet
  var still = document.getElementById('still');
  var shown = document.createElement('img'); // what `still` holds
  var said = document.getElementById('said-now');
  var page = -1;

  function withThumb(page) {
    var thumb = document.createElement('img');
    thumb.alt = '';
    page.insertBefore(thumb, page.firstChild);
    return thumb;
  }

  /* Half the bytes, where the browser knows it. Those that read WebP but cannot write it get the JPEG. */
  var knowsWebp = document.createElement('canvas').toDataURL('image/webp').indexOf('data:image/webp') === 0;

  function addressOf(page) {
    return base + ((knowsWebp && page.getAttribute('data-webp')) || page.getAttribute('data-still'));
  }

  function turn() {
    var next = Math.max(0, lastBefore(turns, video.currentTime * 1000));
    if (next === page || !pages[next]) { return; }
    if (pages[page]) { pages[page].removeAttribute('aria-current'); }
    page = next;
    pages[page].setAttribute('aria-current', 'true');
    if (new Date().getTime() - touchedAt > LET_ALONE_MS) {
      strip.scrollLeft = pages[page].offsetLeft - (strip.clientWidth - pages[page].clientWidth) / 2;
    }
    show();
  }

  function show() {
    if (way !== 'board' || !pages[page]) { return; }
    shown.src = addressOf(pages[page]);
    if (pages[page + 1]) { new window.Image().src = addressOf(pages[page + 1]); } // a page turn must not wait for the line
  }

  /* Old browsers know no loading="lazy" and would load a whole lesson's pages at once. */
  function loadThumbs() {
    var seen = strip.getBoundingClientRect();
    if (seen.top > window.innerHeight || seen.bottom < 0) { return; }
    thumbs = thumbs.filter(function (thumb) {
      var place = thumb.getBoundingClientRect();
      if (place.left > seen.right || place.right < seen.left) { return true; }
      thumb.src = addressOf(thumb.parentNode);
      return false;
    });
  }

  function isSlow() {
    var line = window.navigator.connection;
    return !!line && (line.saveData === true || /2g$/.test(line.effectiveType || ''));
  }

  if (strip) {
    strip.addEventListener('scroll', loadThumbs);
    ['wheel', 'touchstart', 'touchmove', 'keydown', 'focusin', 'mouseenter'].forEach(function (name) {
      strip.addEventListener(name, function () { touchedAt = new Date().getTime(); loadThumbs(); }, { passive: true });
    });
    if (!isSlow()) { // after what plays, never before it
      video.addEventListener('loadeddata', function () { loadThumbs(); window.addEventListener('scroll', loadThumbs); });
    }
    video.addEventListener('timeupdate', turn);
    video.addEventListener('seeked', turn);
  }

  // --- the way: picture, board or sound ------------------------------------------------------------------------------

  var track = video.textTracks && video.textTracks[0];
  var poster = video.getAttribute('poster');
  var captioned = false; // as the viewer had it before the board came

  function sayCue() {
    var cue = way === 'board' && captioned && track.activeCues && track.activeCues[0];
    said.textContent = !cue ? '' : cue.getCueAsHTML ? cue.getCueAsHTML().textContent : cue.text;
    said.hidden = !cue;
  }

  /* A bar of controls has no room for captions: beside the board they stand below it. */
  function moveCaptions(to) {
    if (!track || (to === 'board') === (way === 'board')) { return; }
    if (to === 'board') { captioned = track.mode === 'showing'; }
    if (captioned) { track.mode = to === 'board' ? 'hidden' : 'showing'; }
  }

  function setWay(value) {
    moveCaptions(value);
    way = value;
    video.parentNode.className = 'stage as-' + way;
    still.hidden = way !== 'board';
    if (way === 'board') { video.removeAttribute('poster'); } else if (poster) { video.setAttribute('poster', poster); }
    document.getElementById('suggest').hidden = true;
    Array.prototype.forEach.call(ways.querySelectorAll('button'), function (button) {
      button.setAttribute('aria-pressed', String(button.value === way));
    });
    show();
    if (track) { sayCue(); }
  }

  function choose(event) {
    var button = event.target.closest ? event.target.closest('button') : event.target;
    if (!button || !button.value || button.value === way) { return; }
    var goesOn = plays;
    wanted = video.currentTime || wanted;
    setWay(button.value);
    try { window.localStorage.setItem(WAY_KEY, way); } catch (_error) { /* private mode: not remembered */ }
    start();
    plays = goesOn;
    if (goesOn) { play(); }
  }

  function rememberedWay() {
    try { return window.localStorage.getItem(WAY_KEY); } catch (_error) { return null; }
  }

  if (ways) {
    ways.hidden = false;
    shown.alt = '板书';
    still.appendChild(shown);
    if (track) { track.addEventListener('cuechange', sayCue); }
    ways.addEventListener('click', choose);
    var suggest = document.getElementById('suggest');
    suggest.addEventListener('click', choose);
    var remembered = rememberedWay();
    if (remembered && ways.querySelector('button[value="' + remembered.replace(/[^a-z]/g, '') + '"]')) {
      if (remembered !== way) { setWay(remembered); }
    } else {
      suggest.hidden = !strip || !isSlow();
    }
  }

  // --- views -------------------------------------------------------------------------------------------------------

  if (views) {
    views.hidden = false;
    views.addEventListener('click', function (event) {
      if (!event.target.value || event.target.value === view) { return; }
      var goesOn = plays;
      wanted = video.currentTime || wanted;
      view = event.target.value;
      Array.prototype.forEach.call(views.querySelectorAll('button'), function (button) {
        button.setAttribute('aria-pressed', String(button.value === view));
      });
      if (way !== 'picture') { setWay('picture'); }
      start();
      plays = goesOn;
      if (goesOn) { play(); }
    });
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
  if (way !== 'picture' && (isNative() || canScript())) {
    start();
  } else if (isNative()) {
    if (source) { source.addEventListener('error', failed); }
    if (video.networkState === 3) { failed(); } // NETWORK_NO_SOURCE: it had failed before we listened
  } else if (canScript()) {
    playByScript();
  } else {
    giveUp();
  }
}());
