// The live channel: one WebSocket, reconnecting for ever with a capped backoff. What it
// hears becomes the property "data" of the store "live", at most once a second.
(function () {
  "use strict";
  const FIRST_DELAY_MS = 500;
  const LONGEST_DELAY_MS = 15000;
  const SILENCE_MS = 45000; // the server says something at least every 20 s
  const EVERY_MS = 1000;

  let delay = FIRST_DELAY_MS;
  let socket = null;
  let silence = null;
  let told = 0;
  let pending = null;
  let missed = false;
  let greeted = false;
  let count = 0;

  function tell() {
    pending = null;
    missed = document.hidden; // nobody looks: load when somebody does
    if (missed) return;
    told = Date.now();
    count += 1;
    window.dash_clientside.set_props("live", { data: { count: count } });
  }

  // The page loads what changed; a burst of refreshes is one load.
  function changed() {
    if (pending === null) {
      pending = setTimeout(tell, Math.max(0, told + EVERY_MS - Date.now()));
    }
  }

  function show(state, text) {
    const mark = document.getElementById("live-state");
    if (!mark) return;
    mark.dataset.state = state;
    mark.textContent = text;
  }

  function pulse() {
    const mark = document.getElementById("live-state");
    if (!mark || mark.dataset.pulse === "1") return;
    mark.dataset.pulse = "1";
    setTimeout(function () {
      mark.dataset.pulse = "0";
    }, 1200);
  }

  function concerns(site) {
    const chosen = new URLSearchParams(window.location.search).get("site");
    return chosen === null || chosen === site;
  }

  function hear(message) {
    if (message.kind === "hello") {
      show(message.up ? "live" : "lost", message.up ? "Live" : "Database lost");
      if (greeted) changed(); // back after a while: who knows what was missed
      greeted = true;
    } else if (message.kind === "refresh" && concerns(message.site)) {
      pulse();
      changed();
    } else if (message.kind === "events" && concerns(message.site)) {
      pulse();
    } else if (message.kind === "database") {
      show(message.up ? "live" : "lost", message.up ? "Live" : "Database lost");
      changed();
    }
  }

  function listenOn() {
    clearTimeout(silence);
    silence = setTimeout(function () {
      socket.close();
    }, SILENCE_MS);
  }

  function connect() {
    const scheme = window.location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(scheme + "//" + window.location.host + "/live");
    socket.onopen = function () {
      delay = FIRST_DELAY_MS;
      listenOn();
    };
    socket.onmessage = function (event) {
      listenOn();
      hear(JSON.parse(event.data));
    };
    socket.onclose = function () {
      clearTimeout(silence);
      show("lost", "Reconnecting");
      setTimeout(connect, delay * (0.75 + Math.random() / 2));
      delay = Math.min(delay * 2, LONGEST_DELAY_MS);
    };
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.live = {
    // Runs once, when the page stands.
    start: function () {
      if (socket !== null) return window.dash_clientside.no_update;
      connect();
      document.addEventListener("visibilitychange", function () {
        if (!document.hidden && missed) changed();
      });
      return window.dash_clientside.no_update;
    },
  };
})();
