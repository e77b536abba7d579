// The evaluation page needs no script besides parts.js.
