// A word on how hard the new password would be to guess, and why. It informs: the server decides, and nothing in here
// keeps the form from being sent. The estimator is large, so it is loaded only once somebody means to type; where it
// cannot be loaded, nothing is said.
"use strict";

{
  const form = document.getElementById("new-password");
  const field = document.getElementById("password");
  const hint = document.getElementById("strength");
  const word = document.getElementById("strength-word");
  const reason = document.getElementById("strength-reason");
  const announcement = document.getElementById("strength-announcement");
  const said = hint.dataset;
  const min = Number(form.dataset.min);
  const max = Number(form.dataset.max);

  const WORDS = ["weak", "weak", "fair", "good", "strong"]; // by the estimator's score
  const REASONS = {
    straightRow: "row",
    keyPattern: "row",
    sequences: "row",
    simpleRepeat: "repeat",
    extendedRepeat: "repeat",
    dates: "date",
    recentYears: "date",
    topTen: "common",
    topHundred: "common",
    common: "common",
    similarToCommon: "common",
    namesByThemselves: "personName",
    commonNames: "personName",
    userInputs: "known",
  };
  const ENOUGH = 64; // characters: what follows makes it no weaker, and would only take time
  const TYPING_PAUSE = 250; // milliseconds; the estimate takes some ten of them
  const SPEAKING_PAUSE = 2000; // after the length was told

  // What an attacker knows, whole and in parts, as the server looks at it: it refuses whatever holds a whole name.
  const names = [form.elements.username.value, said.product].map((name) => name.normalize("NFC").toLowerCase());
  const whole = names.flatMap((name) => [name, name.replace(/@[^@]*$/, ""), name.replace(/\s+/g, "")]);
  const parts = names.flatMap((name) => name.split(/[^\p{L}\p{N}]+/u)).filter((part) => part.length >= 4);

  let loading = false;
  let showLater = 0;
  let announceLater = 0;

  function load() {
    if (loading) return;
    loading = true;
    const script = document.createElement("script");
    script.src = said.estimator;
    script.addEventListener("load", show);
    document.head.append(script);
  }

  function characters() {
    return [...field.value.normalize("NFC")];
  }

  // Until it is long enough, the length is what matters, and is told by the page's other script.
  function canBeJudged(count) {
    return count >= min && count <= max && typeof estimateStrength === "function";
  }

  function hide() {
    clearTimeout(showLater);
    clearTimeout(announceLater);
    hint.hidden = true;
    announcement.textContent = "";
  }

  function show() {
    const typed = characters();
    if (!canBeJudged(typed.length)) return hide();
    const { score, warning } = judge(typed.join("").toLowerCase(), typed.slice(0, ENOUGH).join(""));
    hint.dataset.score = String(score);
    word.textContent = said[WORDS[score]];
    reason.textContent = score > 2 ? "" : said[REASONS[warning] || "another"];
    hint.hidden = false;
    clearTimeout(announceLater);
    announceLater = setTimeout(announce, SPEAKING_PAUSE);
  }

  function judge(folded, beginning) {
    const holdsName = whole.some((name) => name.length >= 6 && folded.includes(name));
    if (holdsName) return { score: 1, warning: "userInputs" };
    return estimateStrength(beginning, [...whole, ...parts]);
  }

  function announce() {
    const sentence = `${word.textContent}. ${reason.textContent}`.trim();
    if (announcement.textContent !== sentence) announcement.textContent = sentence;
  }

  field.addEventListener("focus", load);
  field.addEventListener("input", () => {
    load();
    clearTimeout(announceLater);
    clearTimeout(showLater);
    if (canBeJudged(characters().length)) showLater = setTimeout(show, TYPING_PAUSE);
    else hide();
  });
  form.addEventListener("submit", () => {
    clearTimeout(announceLater); // What is said now is that it is being changed.
  });
  if (field.value || document.activeElement === field) load(); // What was typed before a reload, or faster than this.
}
