// Paper: light whatever the screen is, figures as wide as their cards, and every worker
// in a table of the browser's own, in the order the reader sorted them.
(function () {
  "use strict";
  const GRID = "leaderboard";
  const PAPER_HEIGHT = 600; // what is higher goes over several sheets
  const PLOTS = ".js-plotly-plot";
  let shown = null;

  function setScheme(scheme) {
    document.documentElement.dataset.mantineColorScheme = scheme;
    document.body.dataset.agThemeMode = scheme;
  }

  function repaint(template) {
    for (const plot of document.querySelectorAll(PLOTS)) {
      if (plot.layout) window.Plotly.relayout(plot, { template: template });
    }
  }

  // A drawing of fixed pixels that CSS may scale: see theme_print.css.
  function loosen() {
    for (const plot of document.querySelectorAll(PLOTS)) {
      if (!plot._fullLayout) continue;
      const { width, height } = plot._fullLayout;
      plot.style.setProperty("--fp-ratio", width / height);
      const row = plot.closest(".fp-row");
      if (row && height > PAPER_HEIGHT) row.classList.add("fp-long");
      for (const svg of plot.querySelectorAll(".main-svg")) {
        svg.setAttribute("viewBox", "0 0 " + width + " " + height);
      }
    }
  }

  function tighten() {
    for (const svg of document.querySelectorAll(PLOTS + " .main-svg")) {
      svg.removeAttribute("viewBox");
    }
  }

  function cell(tag, content, right) {
    const made = document.createElement(tag);
    made.append(content);
    if (right) made.className = "fp-right";
    return made;
  }

  function row(tag, columns, content) {
    const made = document.createElement("tr");
    for (const column of columns) {
      const right = column.getColDef().type === "rightAligned";
      made.append(cell(tag, content(column), right));
    }
    return made;
  }

  function workersTable(api) {
    const table = document.createElement("table");
    const columns = api.getAllDisplayedColumns();
    const body = table.createTBody();
    table.className = "fp-table fp-paper";
    table.createTHead().append(row("th", columns, (c) => c.getColDef().headerName));
    api.forEachNodeAfterFilterAndSort(function (node) {
      const said = (c) => window.dashAgGridFunctions.fpOnPaper(c.getColId(), node.data);
      body.append(row("td", columns, said));
    });
    return table;
  }

  function addTable() {
    const grid = document.getElementById(GRID);
    const api = grid && window.dash_ag_grid && window.dash_ag_grid.getApi(GRID);
    if (api) grid.after(workersTable(api));
  }

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.print = {
    watch: function (templates) {
      window.addEventListener("beforeprint", function () {
        shown = document.documentElement.dataset.mantineColorScheme;
        setScheme("light");
        repaint(templates.light);
        loosen();
        addTable();
      });
      window.addEventListener("afterprint", function () {
        for (const table of document.querySelectorAll(".fp-paper")) table.remove();
        tighten();
        repaint(templates[shown]);
        setScheme(shown);
      });
    },
  };
})();
