// The leaderboard's cells and looks. It formats and draws; it computes no metric.
(function () {
  "use strict";
  const DASH = "\u2013";
  const STATES = [
    ["working_s", "Working"],
    ["idle_s", "Idle"],
    ["absent_s", "Absent"],
    ["break_s", "Break"],
    ["unobserved_s", "Unobserved"],
  ];
  const number = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const rate = new Intl.NumberFormat("en-US", {
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  });

  function none(value) {
    return value === null || value === undefined;
  }

  function hm(seconds) {
    if (none(seconds)) return DASH;
    const minutes = Math.floor(seconds / 60);
    return number.format(Math.floor(minutes / 60)) + ":" + String(minutes % 60).padStart(2, "0");
  }

  function percent(fraction) {
    return none(fraction) ? DASH : rate.format(fraction * 100) + "%";
  }

  function nameOf(row) {
    const named = row.name && row.name !== row.worker_id;
    return named ? row.name + " (" + row.worker_id + ")" : row.worker_id;
  }

  function timeBar(row) {
    const bar = document.createElement("span");
    bar.className = "fp-time";
    for (const [field] of STATES.filter(([name]) => row[name] > 0)) {
      const part = document.createElement("i");
      part.style.flexGrow = row[field];
      part.style.background = toneOf(field);
      bar.append(part);
    }
    return bar;
  }

  function toneOf(field) {
    return "var(--fp-" + field.replace("_s", "") + ")";
  }

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.fpHm = hm;
  functions.fpUnits = (value) => (none(value) ? DASH : number.format(value));
  functions.fpRate = (value) => (none(value) ? DASH : rate.format(value));
  // A cell as text, or an element: the grid's own cells are drawn for a screen only.
  functions.fpOnPaper = function (column, row) {
    if (column === "name") return nameOf(row);
    if (column === "utilization") return percent(row.utilization);
    if (column === "units") return functions.fpUnits(row.units);
    if (column === "units_per_hour") return functions.fpRate(row.units_per_hour);
    if (column === "time") return timeBar(row);
    return column.endsWith("_s") ? hm(row[column]) : String(row[column]);
  };
  // Whoever has no number stands below everybody who has one, whichever way it is sorted.
  functions.fpNullsLast = function (a, b, _left, _right, descending) {
    if (none(a) || none(b)) return none(a) && none(b) ? 0 : none(a) === descending ? -1 : 1;
    return a - b;
  };
  // Nor does a minute's work lead the table: who has less than ten stands below the rest.
  functions.fpRank = function (a, b, left, right, descending) {
    const order = Number(left.data.brief) - Number(right.data.brief);
    if (order !== 0) return descending ? -order : order;
    return functions.fpNullsLast(a, b, left, right, descending);
  };
  functions.fpTheme = function (theme) {
    return theme.withParams({
      fontFamily: "inherit",
      fontSize: 13.5,
      headerFontSize: 12.5,
      headerFontWeight: 500,
      headerTextColor: "var(--fp-ink-2)",
      headerBackgroundColor: "var(--fp-surface)",
      backgroundColor: "var(--fp-surface)",
      foregroundColor: "var(--fp-ink)",
      borderColor: "var(--fp-line)",
      rowBorder: { color: "var(--fp-line-soft)" },
      rowHoverColor: "color-mix(in srgb, var(--fp-sunken) 60%, transparent)",
      accentColor: "var(--fp-accent)",
      wrapperBorder: false,
      wrapperBorderRadius: 0,
      headerColumnBorder: false,
      columnBorder: false,
      rowHeight: 40,
      headerHeight: 36,
      cellHorizontalPadding: 10,
      iconSize: 12,
    });
  };

  const cells = (window.dashAgGridComponentFunctions =
    window.dashAgGridComponentFunctions || {});

  cells.FpWorker = function (props) {
    const row = props.data;
    const named = row.name && row.name !== row.worker_id;
    return React.createElement(
      "span",
      { className: "fp-worker", title: nameOf(row), dir: "auto" },
      row.name || row.worker_id,
      named ? React.createElement("small", null, row.worker_id) : null,
    );
  };

  cells.FpShare = function (props) {
    const width = none(props.value) ? "0" : props.value * 100 + "%";
    return React.createElement(
      "span",
      { className: props.data.brief ? "fp-share fp-brief" : "fp-share" },
      React.createElement("b", null, percent(props.value)),
      React.createElement(
        "span",
        { className: "fp-share-bar" },
        React.createElement("i", { style: { width: width } }),
      ),
    );
  };

  cells.FpTime = function (props) {
    const row = props.data;
    const shown = STATES.filter(([field]) => row[field] > 0);
    return React.createElement(
      "span",
      {
        className: "fp-time",
        title: shown.map(([field, name]) => name + " " + hm(row[field])).join(" · "),
      },
      shown.map(([field]) =>
        React.createElement("i", {
          key: field,
          style: {
            flexGrow: row[field],
            background: toneOf(field),
          },
        }),
      ),
    );
  };
})();
