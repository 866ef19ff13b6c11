/* Players behind one face, for tests: each opens a multivariant playlist in `video` and collects all that it complains of.
   A rung is named by its height. `use(height)` holds to it, without dropping what is buffered, as adapting does. */
(function () {
  'use strict';

  const opened = { problems: [], rungs: [], use() {} };

  async function hlsJs(video, url) {
    const hls = new Hls({ enableWorker: false, capLevelToPlayerSize: false });
    const player = { ...opened, problems: [] };
    hls.on(Hls.Events.ERROR, (_name, data) => {
      // It gave up a load of its own, being sent elsewhere; and how long it stood still, we measure ourselves.
      const told = [Hls.ErrorDetails.INTERNAL_ABORTED, Hls.ErrorDetails.BUFFER_STALLED_ERROR];
      if (told.includes(data.details) && !data.fatal) { return; }
      player.problems.push(`${data.type} ${data.details} ${data.reason || data.error || ''}`);
    });
    await new Promise((done) => {
      hls.on(Hls.Events.MANIFEST_PARSED, done);
      hls.loadSource(url);
      hls.attachMedia(video);
    });
    player.rungs = hls.levels.map((level) => ({ height: level.height, codecs: `${level.videoCodec},${level.audioCodec}` }));
    player.use = (height) => { hls.nextLoadLevel = hls.levels.findIndex((level) => level.height === height); };
    player.showCaptions = () => { hls.subtitleTrack = 0; };
    return player;
  }

  async function shakaPlayer(video, url) {
    shaka.polyfill.installAll();
    const shown = new shaka.Player();
    const player = { ...opened, problems: [] };
    const note = (event) => player.problems.push(`${event.type} ${event.detail ? `${event.detail.code} ${event.detail.data}` : ''}`);
    ['error', 'stalldetected', 'gapjumped'].forEach((kind) => shown.addEventListener(kind, note));
    await shown.attach(video);
    await shown.load(url);
    const tracks = () => shown.getVariantTracks();
    player.rungs = tracks().map((track) => ({ height: track.height, codecs: track.codecs }));
    player.use = (height) => {
      shown.configure({ abr: { enabled: false } });
      shown.selectVariantTrack(tracks().find((track) => track.height === height));
    };
    player.showCaptions = () => shown.selectTextTrack(shown.getTextTracks()[0]);
    player.raw = shown;
    return player;
  }

  async function theBrowser(video, url) {
    const player = { ...opened, problems: [] };
    video.addEventListener('error', () => player.problems.push(video.error.message));
    await new Promise((done) => {
      video.addEventListener('loadedmetadata', done, { once: true });
      video.addEventListener('error', done, { once: true });
      video.src = url;
    });
    player.wake = async () => {
      video.load();
      await until(() => video.readyState >= 1, 20);
      await video.play();
    };
    return player;
  }

  const openers = { 'hls.js': hlsJs, shaka: shakaPlayer, 'the browser': theBrowser };

  const seconds = (n) => new Promise((done) => { setTimeout(done, n * 1000); });

  async function until(fact, limit) {
    const end = performance.now() + limit * 1000;
    while (!fact() && performance.now() < end) { await seconds(0.01); }
    return fact();
  }

  let video = null;
  let player = null;

  window.openLesson = async function (name, address) {
    video = document.getElementById('video');
    player = await openers[name](video, address);
    await until(() => video.readyState >= 2, 20);
    return { rungs: player.rungs, duration: video.duration, from: video.buffered.length ? video.buffered.start(0) : -1 };
  };

  /* Plays on from here at `rate`, another rung every `period` seconds, to the end or to `end`. `stall` is for how many
     seconds at worst nothing moved that should have. */
  window.playThrough = async function (heights, rate, period, end) {
    const seen = new Set();
    let stall = 0;
    let stalledAt = 0;
    let turn = 0;
    await video.play();
    video.playbackRate = rate;
    await until(() => video.currentTime > 0.2, 10);
    let moved = performance.now();
    let turned = moved - period * 1000;
    let last = video.currentTime;
    const limit = moved + 60000;
    while (!video.ended && !(video.currentTime >= end) && performance.now() < limit) {
      const now = performance.now();
      if (now - turned >= period * 1000) {
        player.use(heights[turn % heights.length]);
        turn += 1;
        turned = now;
      }
      if (video.currentTime !== last) {
        last = video.currentTime;
        moved = now;
      } else if ((now - moved) / 1000 > stall) {
        stall = (now - moved) / 1000;
        stalledAt = last;
      }
      seen.add(video.videoHeight);
      await seconds(0.02);
    }
    const buffered = Array.from({ length: video.buffered.length }, (_, n) => [video.buffered.start(n), video.buffered.end(n)]);
    const { ended, currentTime: at } = video;
    return { ended, at, stall, stalledAt, seen: [...seen], buffered, problems: player.problems };
  };

  /* Jumps to each of these seconds; where it came out, which picture was shown there, and whether it played on. */
  window.jumpTo = async function (jumps, limit) {
    const made = [];
    let asleep = 0;
    await video.play();
    for (const wanted of jumps) {
      let shown = -1;
      let by = -1;
      video.currentTime = wanted;
      const at = video.currentTime;
      let landed = await until(() => !video.seeking, limit);
      if (!landed && player.wake) {
        asleep += 1;
        await player.wake();
        video.currentTime = wanted;
        landed = await until(() => !video.seeking, 20);
      }
      // Asked for only now: before, it might tell of the last picture from where we came.
      video.requestVideoFrameCallback((_now, frame) => { shown = frame.mediaTime; by = video.currentTime; });
      const plays = await until(() => shown >= 0 && video.currentTime > wanted + 0.05, limit);
      made.push({ at, landed, shown, by, plays });
    }
    return { jumps: made, asleep, problems: player.problems };
  };

  window.skim = async function (rate, end) {
    await video.play();
    player.raw.trickPlay(rate);
    await until(() => video.currentTime >= end, 20);
    const at = video.currentTime;
    player.raw.cancelTrickPlay();
    return { at, problems: player.problems };
  };

  window.captionsOf = async function (limit) {
    player.showCaptions();
    await video.play(); // shaka-player reads them no sooner
    const cues = () => [...video.textTracks].flatMap((track) => [...(track.cues || [])]);
    await until(() => cues().length > 0, limit);
    return cues().map((cue) => [cue.startTime, cue.endTime, cue.text]);
  };

  window.parsed = async function (address) {
    HLS.setOptions({ strictMode: true });
    const playlist = HLS.parse(await (await fetch(address)).text());
    return JSON.parse(JSON.stringify(playlist, (key, value) => (key === 'source' ? undefined : value)));
  };

  /* Whether each file that a media playlist names is there, and where a range is asked for, all of that range. */
  window.lengthsOf = async function (address, media) {
    const addresses = media.segments.flatMap((part) => [part, ...(part.map ? [part.map] : [])]);
    return Promise.all(addresses.map(async ({ uri, byterange }) => {
      const last = byterange ? byterange.offset + byterange.length - 1 : 0;
      const headers = byterange ? { Range: `bytes=${byterange.offset}-${last}` } : {};
      const answer = await fetch(new URL(uri, address), { headers });
      const length = (await answer.arrayBuffer()).byteLength;
      return byterange ? answer.status === 206 && length === byterange.length : answer.status === 200 && length > 0;
    }));
  };
}());
