// What the pages do beyond links and forms: follow the hub while they are looked
// at, and sign in at a provider in a window of its own.
(function () {
  "use strict";

  const popupName = "tandem-authorize";
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("tandem-console") : null;
  let popup = null;

  // Follow the hub, but never under the hands of somebody: not while a menu is
  // open, while they are in a form with something to choose, or have chosen. Any
  // other control keeps the focus, which htmx moves to its successor by id.
  function busy(region) {
    return region.querySelector("details.menu[open], form:focus-within select") !== null ||
      Array.from(region.querySelectorAll("select")).some(function (s) {
        return s.selectedIndex !== Math.max(0, Array.from(s.options).findIndex(function (o) { return o.defaultSelected; }));
      });
  }
  document.addEventListener("htmx:beforeRequest", function (e) {
    if (document.hidden || busy(e.target)) {
      e.preventDefault();
    }
  });

  function stale(now) {
    const note = document.getElementById("stale");
    if (note) {
      note.hidden = !now;
    }
  }
  document.addEventListener("htmx:sendError", function () { stale(true); });
  document.addEventListener("htmx:timeout", function () { stale(true); });
  document.addEventListener("htmx:afterOnLoad", function (e) {
    stale(e.detail.xhr.status >= 400 && !last(e.detail.xhr));
  });

  // The hub's word that there is nothing to follow any more; a proxy's page with
  // the same status is none.
  function last(xhr) {
    return [401, 403, 404].includes(xhr.status) && xhr.responseText.startsWith('<div id="live"');
  }
  document.addEventListener("htmx:beforeSwap", function (e) {
    if (busy(e.target)) { // since it was asked for
      e.detail.shouldSwap = false;
    } else if (last(e.detail.xhr)) {
      e.detail.shouldSwap = true;
      e.detail.isError = false;
    }
  });

  // What somebody unfolded stays so.
  let unfolded = [];
  document.addEventListener("htmx:beforeSwap", function (e) {
    unfolded = Array.from(e.target.querySelectorAll("details.folder[open]"), function (d) { return d.id; });
  });
  document.addEventListener("htmx:afterSwap", function () {
    unfolded.forEach(function (id) {
      const folder = document.getElementById(id);
      if (folder) {
        folder.open = true;
      }
    });
  });

  function refresh() {
    const region = document.querySelector("[data-live]");
    if (region && window.htmx) {
      window.htmx.trigger(region, "tandem-changed");
    }
  }

  // What this page said of the step before is over when that window has its answer.
  function forget() {
    const said = document.querySelector('#main > .notice[role="status"]:not(#stale)');
    if (said) {
      said.remove();
    }
  }

  // The sign-in at a provider: the form goes into a window of a fitting size.
  document.addEventListener("submit", function (e) {
    if (e.target.target !== popupName) {
      return;
    }
    const width = 600;
    const height = 760;
    const left = Math.max(0, window.screenX + (window.outerWidth - width) / 2);
    const top = Math.max(0, window.screenY + (window.outerHeight - height) / 3);
    popup = window.open("", popupName, "popup,width=" + width + ",height=" + height + ",left=" + left + ",top=" + top);
    if (popup) {
      popup.focus();
    }
  });

  if (channel) {
    channel.addEventListener("message", function (e) {
      if (e.data === "changed") {
        if (popup) {
          forget();
        }
        refresh();
      }
      if (e.data === "close" && popup) {
        popup.close();
      }
    });
  }

  // In that window: tell the page it was opened from, and offer to close.
  if (document.querySelector("[data-popup-result]")) {
    const close = document.querySelector("[data-close]");
    if (channel) {
      channel.postMessage("changed");
    }
    close.hidden = false;
    close.addEventListener("click", function () {
      window.close();
      if (channel) {
        channel.postMessage("close");
      }
      document.querySelector("[data-closed]").hidden = false;
    });
    document.querySelector("[data-back]").hidden = true;
  }

  // One menu at a time; Escape and a click elsewhere close it.
  function closeMenus(except) {
    document.querySelectorAll("details.menu[open]").forEach(function (m) {
      if (m !== except) {
        m.open = false;
      }
    });
  }
  document.addEventListener("click", function (e) {
    closeMenus(e.target.closest("details.menu"));
  });
  document.addEventListener("keydown", function (e) {
    const menu = e.key === "Escape" && e.target.closest("details.menu[open]");
    if (menu) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Tokens and codes do not stay in the address.
  if (document.querySelector("[data-clean-address]") && window.location.search) {
    window.history.replaceState(null, "", window.location.pathname);
  }

  const summary = document.querySelector("[data-focus]");
  if (summary) {
    summary.focus();
  }
})();
