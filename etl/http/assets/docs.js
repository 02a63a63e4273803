// Shows openapi.json: routes by tag, parameters, bodies and answers with their examples.
"use strict";

function element(name, content = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...(Array.isArray(content) ? content : [content]));
  return made;
}

function example(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return element("pre", element("code", text));
}

function examples(content) {
  return Object.entries(content || {}).flatMap(([type, body]) => {
    const several = Object.values(body.examples || {});
    const shown = several.length
      ? several.flatMap((one) => [element("p", one.summary), example(one.value)])
      : "example" in body ? [example(body.example)] : [];
    return [element("p", element("code", type)), ...shown];
  });
}

function parameters(list) {
  if (!list || !list.length) return [];
  const rows = list.map((one) => element("tr", [
    element("td", element("code", one.name)),
    element("td", one.required ? "required" : `default ${one.schema?.default ?? "none"}`),
    element("td", one.description || ""),
  ]));
  const head = ["Parameter", "", ""].map((name) => element("th", name));
  return [element("table", [element("tr", head), ...rows])];
}

function route(path, method, operation) {
  const answers = Object.entries(operation.responses || {}).flatMap(([status, said]) => [
    element("h4", `${status} ${said.description}`),
    ...(Number(status) < 300 ? examples(said.content) : []),
  ]);
  const body = examples(operation.requestBody?.content);
  return element("details", [
    element("summary", [
      element("span", method.toUpperCase(), { className: "method" }),
      element("code", path), ` ${operation.summary || ""}`,
    ]),
    element("div", [
      element("p", operation.description || ""),
      ...parameters(operation.parameters),
      ...(body.length ? [element("h4", "Body"), ...body] : []),
      ...answers,
    ]),
  ]);
}

async function show() {
  const place = document.getElementById("routes");
  const answer = await fetch("openapi.json");
  const api = await answer.json();
  document.getElementById("about").textContent = api.info.description;
  const tags = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = (operation.tags || ["other"])[0];
      if (!tags.has(tag)) tags.set(tag, []);
      tags.get(tag).push(route(path, method, operation));
    }
  }
  place.replaceChildren(
    ...[...tags].flatMap(([tag, routes]) => [element("h2", tag), ...routes]),
  );
}

show().catch((error) => {
  document.getElementById("routes").textContent = `openapi.json cannot be shown: ${error}`;
});
