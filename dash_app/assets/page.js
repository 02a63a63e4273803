// Clientside callbacks of the page: the address, the selectors, the figures' scheme.
(function () {
  "use strict";
  const HOUR_MS = 3600 * 1000;
  const FEW_WORKERS = 12;
  const state = { shown: null };

  function setProps(id, props) {
    window.dash_clientside.set_props(id, props);
  }

  // '2026-11-20 08:00:00' of a picker -> '2026-11-20T08:00' of an address.
  function addressTime(picked) {
    return picked ? picked.replace(" ", "T").slice(0, 16) : null;
  }

  function wallTime(ms) {
    const at = new Date(ms - new Date(ms).getTimezoneOffset() * 60000);
    return at.toISOString().slice(0, 16);
  }

  // A fresh custom window: the last 24 hours on whole hours of the reader's clock.
  function freshWindow() {
    const end = Math.ceil(Date.now() / HOUR_MS) * HOUR_MS;
    return [wallTime(end - 24 * HOUR_MS), wallTime(end)];
  }

  function searchOf(choice) {
    const fields = new URLSearchParams();
    if (choice.site) fields.set("site", choice.site);
    if (choice.range !== "today") fields.set("range", choice.range);
    if (choice.shift) fields.set("shift", choice.shift);
    if (choice.range === "custom") {
      const [from, to] = choice.from && choice.to ? [choice.from, choice.to] : freshWindow();
      fields.set("from", from);
      fields.set("to", to);
    }
    const text = fields.toString();
    return text ? "?" + text : "";
  }

  function currentScheme() {
    return document.documentElement.dataset.mantineColorScheme || "light";
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.page = {
    // The selectors follow the address. Not declared as outputs: the address follows the
    // selectors too (below), and Dash refuses a declared circle.
    showControls: function (controls) {
      if (!controls) return window.dash_clientside.no_update;
      state.shown = controls;
      setProps("site", { data: controls.sites, value: controls.site });
      setProps("shift", {
        data: controls.shifts,
        value: controls.shift,
        disabled: controls.shifts.length < 2,
      });
      setProps("range", { value: controls.range });
      setProps("from", { value: controls.from });
      setProps("to", { value: controls.to });
      return controls.range === "custom" ? "fp-window" : "fp-window fp-hidden";
    },

    // The address follows what the reader picks; what the page itself has set is no news.
    writeAddress: function (site, range, shift, from, to) {
      const shown = state.shown;
      const keep = window.dash_clientside.no_update;
      if (!shown) return keep;
      const sameWindow = from === shown.from && to === shown.to;
      if (site === shown.site && range === shown.range && shift === shown.shift) {
        if (sameWindow || range !== "custom" || !from || !to) return keep;
      }
      const moved = site !== shown.site;
      return searchOf({
        site: site,
        range: range,
        shift: moved ? null : shift,
        from: addressTime(from),
        to: addressTime(to),
      });
    },

    // The pages' links keep the site; the one that is shown is marked, for CSS too.
    showPage: function (path, search) {
      const site = new URLSearchParams(search || "").get("site");
      const kept = site ? "?" + new URLSearchParams({ site: site }).toString() : "";
      const name = path === "/models" ? "models" : "overview";
      setProps("nav-overview", { href: "/" + kept });
      setProps("nav-models", { href: "/models" + kept });
      setProps("download", { href: "/workers.csv" + (search || "") });
      for (const page of ["overview", "models"]) {
        const link = document.getElementById("nav-" + page);
        if (link) link.setAttribute("aria-current", page === name ? "page" : "false");
      }
      return "fp-page fp-on-" + name;
    },

    // A figure in the scheme of the page. The server sends it bare.
    paint: function (figure, scheme, templates) {
      if (!figure) return window.dash_clientside.no_update;
      const layout = Object.assign({}, figure.layout, { template: templates[scheme] });
      return Object.assign({}, figure, { layout: layout });
    },

    // Bookmarks, tabs and the history of the browser tell one view from another.
    showTitle: function (title, subtitle) {
      const [view] = (subtitle || "").split(" \u00b7 ");
      const said = [title, view].filter((text) => text && text.trim()).join(" \u00b7 ");
      document.title = said ? said + " \u2013 floorpulse" : "floorpulse";
    },

    // Workers by name: what does not match is out of sight, nothing is loaded.
    findWorkers: function (text) {
      const grid = window.dash_ag_grid && window.dash_ag_grid.getApi("leaderboard");
      if (grid) grid.setGridOption("quickFilterText", text || "");
    },

    // A few workers are seen at a glance.
    offerFinding: function (rows) {
      return rows && rows.length > FEW_WORKERS ? "fp-find" : "fp-find fp-hidden";
    },

    // Runs once: the scheme now, and every time it changes; and what paper wants.
    watchScheme: function (templates) {
      window.dash_clientside.print.watch(templates);
      document.body.dataset.agThemeMode = currentScheme();
      new MutationObserver(function () {
        document.body.dataset.agThemeMode = currentScheme();
        setProps("scheme", { data: currentScheme() });
      }).observe(document.documentElement, {
        attributeFilter: ["data-mantine-color-scheme"],
      });
      return currentScheme();
    },
  };
})();
