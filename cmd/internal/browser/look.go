package browser

import (
	"context"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Scripts lets the pages that follow run their scripts, or keeps them from it as
// a browser without JavaScript does. Evaluate works all the same.
func (p *Page) Scripts(on bool) {
	p.tb.Helper()
	p.do("switch scripts", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
		return err
	}))
}

// Faint returns the visible texts, those in fields included, that stand out from
// what is behind them by less than WCAG's 4.5:1, or 3:1 where they are large.
// Of a gradient behind a text the color counts where it ends.
func (p *Page) Faint() []string {
	p.tb.Helper()
	return Evaluate[[]string](p, faint)
}

// Unreachable returns the controls that the Tab key does not come to, but for
// those that are hidden from everybody.
func (p *Page) Unreachable() []string {
	p.tb.Helper()
	return Evaluate[[]string](p, unreachable)
}

const faint = `(() => {
	const pen = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
	const rgba = color => { // of any notation
		pen.clearRect(0, 0, 1, 1);
		pen.fillStyle = color;
		pen.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (front, back) => [0, 1, 2].map(i => front[i] * front[3] + back[i] * (1 - front[3])).concat(1);
	const luminance = color => {
		const [r, g, b] = color.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
		return .2126 * r + .7152 * g + .0722 * b;
	};
	const contrast = (a, b) => {
		const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
		return (light + .05) / (dark + .05);
	};
	const behind = e => {
		if (!e) {
			return rgba('Canvas');
		}
		const s = getComputedStyle(e);
		const stops = s.backgroundImage.match(/(?:rgba?|hsla?|oklch|oklab|lch|lab|color)\([^()]*\)/g);
		const own = rgba(stops ? stops.pop() : s.backgroundColor);
		return own[3] === 1 ? own : over(own, behind(e.parentElement));
	};
	const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
	const found = new Set();
	const judge = (e, text) => {
		const r = e.getBoundingClientRect(), s = getComputedStyle(e);
		if (!text.trim() || !e.checkVisibility({visibilityProperty: true, opacityProperty: true}) ||
			r.width < 2 || r.height < 2 || r.right < 0 || r.bottom < 0 || e.closest(':disabled')) {
			return;
		}
		const size = parseFloat(s.fontSize);
		const least = size >= 24 || size >= 18.66 && s.fontWeight >= 700 ? 3 : 4.5;
		const color = rgba(s.color), back = behind(e);
		color[3] *= opacity(e);
		const got = contrast(over(color, back), back);
		if (got < least) {
			found.add(got.toFixed(2) + ':1 ' + e.tagName.toLowerCase() + '.' + e.className + ' ' + text.trim().slice(0, 40));
		}
	};
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		judge(walk.currentNode.parentElement, walk.currentNode.data);
	}
	for (const e of document.querySelectorAll('input:not([type=hidden]), textarea')) {
		judge(e, e.value);
	}
	return [...found];
})()`

const unreachable = `[...document.querySelectorAll('a, button, summary, input:not([type=hidden]), select, textarea')]
	.filter(e => e.tabIndex < 0 || e.tagName === 'A' && !e.hasAttribute('href'))
	.filter(e => !e.hidden && !e.closest('[aria-hidden=true]'))
	.map(e => e.outerHTML.slice(0, 100))`
