/* The printed address is <site>/enter#<code>. What follows # never leaves the browser by itself: it is taken out of the
   address, put into the form and sent in its body. */
(function () {
  'use strict';
  var form = document.getElementById('enter');
  var code = decodeURIComponent(window.location.hash.slice(1));
  if (!form || !code) { return; }
  window.history.replaceState(null, '', window.location.pathname + window.location.search);
  form.elements.namedItem('code').value = code;
  form.submit();
}());
