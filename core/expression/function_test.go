package expression_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tandem/core"
	"tandem/core/expression"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`[string(nil), string(1), string(2.5), string(true), string(input.big)]`, `["","1","2.5","true","12345678901234567890"]`},
		{`[text(nil), text(1.0), text("x"), text(1e21)]`, `[null,"1","x","1000000000000000000000"]`},
		{`[plain("Grüße", 3), plain("Grüße", 9), plain("日本語", 1), plain(nil, 3), plain("x", 0)]`, `["Gr…","Grüße","…",null,""]`},
		{`[trim("  a b\n"), trim("xxaxx", "x"), trimPrefix("abc", "a"), trimSuffix("abc", "bc")]`, `["a b","a","bc","a"]`},
		{`[upper("strasse"), lower("ÄB")]`, `["STRASSE","äb"]`},
		{`[hasPrefix("abc", "a"), hasSuffix("abc", "c"), hasPrefix(nil, "a")]`, `[true,true,false]`},
		{`[indexOf("äbc", "c"), lastIndexOf("äbcb", "b"), indexOf("a", "x")]`, `[2,3,-1]`},
		{`[split("a,b,c", ","), split("a,b,c", ",", 2), split("", ",")]`, `[["a","b","c"],["a","b,c"],[""]]`},
		{`[join(["a", nil, 1, true], "-"), join(["a", "b"]), join([], ","), join(nil, ",")]`, `["a-1-true","ab","",""]`},
		{`replace("a.b.c", ".", "")`, `"abc"`},
		{`[lines("a", nil, "b"), lines(), lines(nil)]`, `["a\nb","",""]`},
		{`labelled(input.object)`, `"a: x\nb: 2"`},
		{`lastSegment("https://o/api/incidents(0b-1)")`, `"0b-1"`},
		{`[lastSegment("/a/b/c/?x=1/2"), lastSegment("c"), lastSegment(""), lastSegment(nil), lastSegment("/x(y)/z")]`, `["c","c","",null,"z"]`},
		{`[match("Case 00123 opened", "Case ([0-9]+)"), match("x", "(y)"), match(nil, "(y)"), match(12, "(1)")]`, `["00123",null,null,"1"]`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`upper(nil)`, `upper: needs a text, not nothing`},
		{`text(input.list)`, `text: a list cannot be written as a text`},
		{`plain("x", "y")`, `plain: needs a text and a number of characters`},
		{`join([[1]], "")`, `join: a list cannot be part of a text`},
		{`join([1], 2)`, `join: needs a text to put between`},
		{`join(1)`, `join: needs a list, not a number`},
		{`replace("a", "", "b")`, `replace: needs a text to look for`},
		{`labelled("a")`, `labelled: needs an object, not a text`},
		{`match([1], "(a)")`, `match needs a text, not a list`},
		{`split("a", ",", "b")`, `split: needs a number of parts`},
	})
}

func TestCondition(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`condition("Phone = '+41'")`, `{"field":"Phone","operator":"=","value":"+41"}`},
		{`condition("Amount>=10")`, `{"field":"Amount","operator":">=","value":"10"}`},
		{`condition(" Name  LIKE  \"O'Neil %\" ")`, `{"field":"Name","operator":"like","value":"O'Neil %"}`},
		{`condition("Name startsWith a b c")`, `{"field":"Name","operator":"startswith","value":"a b c"}`},
		{`condition("Id in ('a,b', c)")`, `{"field":"Id","operator":"in","value":["a,b","c"]}`},
		{`condition("a!=''")`, `{"field":"a","operator":"!=","value":""}`},
	})
	refuses(t, core.Invalid, [][2]string{
		{`condition("")`, `"" is no condition`},
		{`condition("Name")`, `is no condition`},
		{`condition("Name =")`, `is no condition`},
		{`condition("Name is x")`, `is no condition`},
		{`condition("= x")`, `is no condition`},
		{`condition("Name = 'x")`, `is no condition`},
		{`condition("Name in (a")`, `is no condition`},
		{`condition("Name in a,,b")`, `is no condition`},
	})
}

func TestNumbersAndTimes(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`[len("Grüße"), len(input.list), len(input.object), len(nil)]`, `[5,3,4,0]`},
		{`[abs(-3), abs(-2.5), ceil(1.2), floor(-1.2), round(2.5), round(7)]`, `[3,2.5,2,-2,3,7]`},
		{`[int("12"), int(3.9), float("1.5"), int(input.n)]`, `[12,3,1.5,7]`},
		{`[integer("12"), integer(" 7 "), integer("1.9"), integer(nil), integer(""), integer("x"), integer(true)]`, `[12,7,1,null,null,null,null]`},
		{`[number("1.5"), number("2"), number("0x10"), number("NaN"), number("1_0"), number(nil)]`, `[1.5,2,null,null,null,null]`},
		{`[min(3, 1, 2), max(input.list), max(1, [4, nil], nil), min([])]`, `[1,3,4,null]`},
		{
			`[time("2026-01-02T03:04:05+01:00"), time("2026-01-02T03:04:05"), time("2026-01-02 03:04:05.5"), time("2026-01-02")]`,
			`["2026-01-02T02:04:05.000Z","2026-01-02T03:04:05.000Z","2026-01-02T03:04:05.500Z","2026-01-02T00:00:00.000Z"]`,
		},
		{`[time(1767323045123), time("2026-01-02T03:04:05.000+0000"), time(nil), time("")]`, `["2026-01-02T03:04:05.123Z","2026-01-02T03:04:05.000Z",null,null]`},
		{`[millis("2026-01-02T03:04:05Z"), millis(5), millis(nil)]`, `[1767323045000,5,null]`},
		{`[dateOf("2026-01-02T23:30:00-01:00"), dateOf(nil)]`, `["2026-01-03",null]`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`len(1)`, `len: needs a text, a list or an object, not a number`},
		{`abs("1")`, `abs: needs a number`},
		{`round(nil)`, `round: needs a number, not nothing`},
		{`int("x")`, `int: needs a number (integer gives nothing where there is none)`},
		{`float(nil)`, `float: needs a number (number gives nothing`},
		{`max("a")`, `max: needs numbers, not a text`},
	})
	refuses(t, core.Invalid, [][2]string{
		{`time("tomorrow")`, `a time must be written like`},
		{`time(1e20)`, `too large`},
		{`dateOf([1])`, `a time must be written like`},
	})
}

func TestListsAndObjects(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`[first(input.list), last(input.list), first([]), last(nil)]`, `[3,2,null,null]`},
		{`[take(input.list, 2), take(input.list, 9), take(input.list, -1), take(nil, 1)]`, `[[3,1],[3,1,2],[],[]]`},
		{`[sort(input.list), sort(input.words, "desc"), sort(nil)]`, `[[1,2,3],["b","b","a"],[]]`},
		{`uniq(concat(input.words, ["c"], nil, [1, 1.0]))`, `["b","a","c",1]`},
		{`[flatten([1, [2, [3, nil]]]), reverse(input.list), reverse(nil)]`, `[[1,2,3,null],[2,1,3],[]]`},
		{`[keys(input.object), keys(nil)]`, `[["a","b","c","d"],[]]`},
		{`toPairs({b: 1, a: 2})`, `[["a",2],["b",1]]`},
		{`fromPairs([["a", 1], [2, nil]])`, `{"2":null,"a":1}`},
		{`[omit(input.object, ["d", "c"]), pick(input.object, ["a", "x"]), omit(nil, [])]`, `[{"a":"x","b":2},{"a":"x"},{}]`},
		{`merge(input.object, {a: 1, z: 2})`, `{"a":1,"b":2,"c":null,"d":{"e":[1]},"z":2}`},
		{`strings({a: 1, b: true, c: nil, d: "x"})`, `{"a":"1","b":"true","d":"x"}`},
		{`input.list`, `[3,1,2]`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`first("a")`, `first: needs a list, not a text`},
		{`take(input.list, "a")`, `take: needs a number of entries`},
		{`sort(input.list, "up")`, `sort: the order must be`},
		{`sort([1, "a"])`, `cannot be compared`},
		{`fromPairs([[1]])`, `fromPairs: needs a list of [name, value]`},
		{`fromPairs([[[1], 1]])`, `fromPairs: a name must be a text`},
		{`keys([1])`, `keys: needs an object, not a list`},
		{`omit({}, [1])`, `omit: needs a list of names, not of a number`},
		{`strings(input.object)`, `strings: an object cannot be written as a text`},
	})
}

func TestPhones(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`phones("+41 44 555 12 34")`, `["+41 44 555 12 34","+41445551234","044 555 12 34","0445551234","41445551234",` +
			`"044-555-12-34","044.555.12.34","+41-44-555-12-34","+41 (0)44 555 12 34","0041445551234","0041 44 555 12 34"]`},
		{`phones("(212) 555-0123", "us")`, `["(212) 555-0123","+12125550123","+1 212-555-0123","2125550123","12125550123",` +
			`"212-555-0123","212.555.0123","+1-212-555-0123","+1 (212) 555-0123","+1 212 555 0123","1-212-555-0123"]`},
		{`len(phones(" +41/44 5551234"))`, `12`},
		{`[phones("2125550123"), phones("2125550123", nil), phones("2125550123", "")]`, `[["2125550123"],["2125550123"],["2125550123"]]`},
		{`[phones("tel:12-34"), phones("1234"), phones("` + strings.Repeat("1", 65) + `")]`, `[["12-34","1234"],["1234"],["` + strings.Repeat("1", 65) + `"]]`},
		// Nobody's number.
		{`[phones(nil), phones(""), phones(" "), phones("sip:"), phones("anonymous"), phones("tel 12-34")]`, `[[],[],[],[],[],[]]`},
		{`[phones("anonymous@61.55.50.102"), phones("sip:anonymous@61.55.50.102"), phones("+41445551234 withheld")]`, `[[],[],[]]`},
		// The number of an address.
		{
			`map(["sip:+41445551234@pbx.example", "SIPS:%2B41445551234@1.2.3.4:5060;user=phone", "tel:+41-44-555-12-34;ext=5", "+41445551234@pbx"], e164(#))`,
			`["+41445551234","+41445551234","+41445551234","+41445551234"]`,
		},
		{
			`map(["+1 415 555 0123 ext. 99", "+14155550123x99", "<sip:+14155550123@pbx.example>", "\"Jane Doe\" <sip:+14155550123@1.2.3.4>"], e164(#))`,
			`["+14155550123","+14155550123","+14155550123","+14155550123"]`,
		},
		{`take(phones("sip:+41445551234@61.55.50.102"), 2)`, `["+41445551234","+41 44 555 12 34"]`},
		// A country code without + before it.
		{
			`map(["41445551234", "14155550100", "4144 555 12 34", "0041445551234", 41445551234, "99999999999", "041445551234", "4155550100", "Room 41445551234"], e164(#))`,
			`["+41445551234","+14155550100","+41445551234","+41445551234","+41445551234",null,null,null,null]`,
		},
		{
			`[e164("41445551234", "US"), e164("41445551234", "CH"), e164("0041445551234", "US"), e164("4155550100", "US"), e164("14155550100", "DE")]`,
			`["+41445551234","+41445551234","+41445551234","+14155550100","+14155550100"]`,
		},
		{`"+41 44 555 12 34" in phones("41445551234")`, `true`},
		{`"044-555-12-34" in phones("+41445551234 #5")`, `true`},
		{`[digits("+41 (0)44"), digits("x"), digits(nil), digits(12)]`, `["41044","",null,"12"]`},
		{`[national("+41445551234"), national("044 555"), national(nil), national("2125550123", "US")]`, `["445551234","044555",null,"2125550123"]`},
		{`[e164("+41 44 555 12 34"), e164("044 555 12 34"), e164("044 555 12 34", "CH"), e164(nil), e164("x")]`, `["+41445551234",null,"+41445551234",null,null]`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`phones([1])`, `phones: needs a telephone number, not a list`},
		{`phones("1", 2)`, `phones: needs a region such as "CH", not a number`},
	})
}

func TestQueries(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`soql("A = ?", input.evil)`, `"A = '\\' OR Name LIKE \\'%'"`},
		{`soql("A = ?", "\\' \n\r\t ü")`, `"A = '\\\\\\' \\n\\r\\t ü'"`},
		{`soql("? ? ? ?", 1, 2.5, true, input.big)`, `"1 2.5 true 12345678901234567890"`},
		{`soql("A IN ? AND B IN (?)", ["a", "b'"], ["c", 1])`, `"A IN ('a','b\\'') AND B IN ('c',1)"`},
		{`soql("SELECT ? FROM ? WHERE ?", names(["Id", "Name"]), name("Contact"), soql("A = ?", "x"))`, `"SELECT Id, Name FROM Contact WHERE A = 'x'"`},
		{`soql("A LIKE ?", containsLike("50%_\\'"))`, `"A LIKE '%50\\%\\_\\\\\\'%'"`},
		{`[startsLike("a"), endsLike("a"), containsLike(1)]`, `["'a%'","'%a'","'%1%'"]`},
		{`sosl("FIND {?} RETURNING ?", "a-b {x} \"y\" \n&", name("Contact"))`, `"FIND {\"a\\-b \\{x\\} \\\"y\\\"  \\&\"} RETURNING Contact"`},
		{`sosl("FIND {?}", take(phones("+41445551234"), 5))`, `"FIND {\"\\+41445551234\" OR \"\\+41 44 555 12 34\" OR \"044 555 12 34\" OR \"0445551234\" OR \"41445551234\"}"`},
		{`odata("a eq ? and b eq ? or c eq ?", "O'Neil", 5, false)`, `"a eq 'O''Neil' and b eq 5 or c eq false"`},
		{`odata("In(PropertyValues=[?])", ["a", "b"])`, `"In(PropertyValues=['a','b'])"`},
		{`snow("a=?^bIN?^active=?", "x y'\"", ["1", "2"], true)`, `"a=x y'\"^bIN1,2^active=true"`},
		{`zendesk("phone:? type:?", "a\"b\\c\nd", name("user"))`, `"phone:\"a\\\"b\\\\c d\" type:user"`},
		{`zendesk("tags:?", ["a", "b"])`, `"tags:\"a\" \"b\""`},
		{`every([soql("a = ?", 1), nil, soql("b = ?", 2)])`, `"(a = 1 AND b = 2)"`},
		{`either(map(phoneFields("Contact"), soql("? = ?", #, "1")))`, `"(Phone = '1' OR MobilePhone = '1')"`},
		{`every([soql("a = 1 OR b = ?", 1), soql("c = ?", "and")])`, `"((a = 1 OR b = 1) AND c = 'and')"`},
		{`every([soql("a = 1 OR b = 2")])`, `"(a = 1 OR b = 2)"`},
		{`every([either([odata("a eq 1"), odata("b eq 2")]), odata("c eq 3")])`, `"((a eq 1 or b eq 2) and c eq 3)"`},
		{`every([snow("a=1"), either([snow("b=2"), snow("c=3"), either([snow("d=4"), snow("e=5")])])])`, `"a=1^b=2^ORc=3^ORd=4^ORe=5"`},
		{`every([zendesk("a:?", 1), zendesk("b:?", 2)])`, `"a:1 b:2"`},
		{`[every([]), either([nil]), every(nil)]`, `[null,null,null]`},
		{`[name("A_b1"), name("__c"), names(["a", "b"], ",")]`, `["A_b1","__c","a,b"]`},
		{`soql("A > ? AND B = ?", datetime("2026-01-02T04:04:05.9+01:00"), datetime("2026-01-02"))`, `"A > 2026-01-02T03:04:05Z AND B = 2026-01-02"`},
		{`odata("a ge ? and b in ?", datetime(1767323045000), [datetime("2026-01-02")])`, `"a ge 2026-01-02T03:04:05Z and b in (2026-01-02)"`},
		{
			`[snow("a>?", datetime("2026-01-02 03:04:05")), zendesk("created>?", datetime("2026-01-02T03:04:05Z"))]`,
			`["a>2026-01-02 03:04:05","created>2026-01-02T03:04:05Z"]`,
		},
		{`[datetime(nil), datetime(""), datetime("2026-01-02T03:04")]`, `[null,null,"2026-01-02T03:04:00Z"]`},
		{
			`odata("id eq ? or id eq ?", guid("{0000000A-1234-5678-9abc-00000000000F}"), guid("0000000a-1234-5678-9abc-00000000000f"))`,
			`"id eq 0000000a-1234-5678-9abc-00000000000f or id eq 0000000a-1234-5678-9abc-00000000000f"`,
		},
		{`name("a") == "a" and "x" + name("a") == "xa"`, `true`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`soql("?", nil)`, `expression:1:11: soql: there is nothing to put in place of a ?`},
		{`soql("?", [])`, `an empty list cannot be searched for`},
		{`soql("?", ["a", nil])`, `there is nothing to put in place of a ?`},
		{`soql("?", {a: 1})`, `an object cannot stand in a query`},
		{`soql("?", odata("a"))`, `a part made by odata cannot stand in a query of soql`},
		{`sosl("?", soql("a"))`, `a part made by soql cannot stand in a query of sosl`},
		{`every([soql("a"), odata("b")])`, `conditions of soql and odata cannot be joined`},
		{`every(["a = 1"])`, `needs conditions made by soql, odata and their like, not a text`},
		{`every([name("a")])`, `needs conditions made by soql`},
		{`either([datetime("2026-01-02")])`, `needs conditions made by soql`},
		{`soql("?", guid("0000000a-1234-5678-9abc-00000000000f"))`, `a part made by odata cannot stand in a query of soql`},
		{`guid(nil)`, `guid: needs a GUID, not nothing`},
		{`every("a")`, `needs a list`},
		{`either([zendesk("a"), zendesk("b")])`, `zendesk cannot join conditions with OR`},
		{`either([every([snow("a=1"), snow("b=2")]), snow("c=3")])`, `ServiceNow cannot join with OR what is joined with AND`},
		{`names([])`, `needs a list of names`},
		{`name(nil)`, `name: needs the name of a field or record type, not nothing`},
		{`startsLike(nil)`, `startsLike: needs a text`},
	})
	refuses(t, core.Invalid, [][2]string{
		{`snow("a=?", input.caret)`, `a text with ^, a line break`},
		{`snow("a=?", input.lines)`, `a text with ^, a line break`},
		{`snow("a=?", " JavaScript:gs.sleep(1)")`, `a text that begins with javascript:`},
		{`snow("aIN?", ["1,2"])`, `a text with a comma`},
		{`soql("?", "a\u0000b")`, `a text with control characters`},
		{`datetime("2026-01-02' or 1 eq 1")`, `a time must be written like`},
		{`datetime(true)`, `a time must be written like`},
		{`guid("0000000a-1234-5678-9abc-00000000000f or true")`, `is no GUID`},
		{`guid(input.evil)`, `is no GUID`},
		{`name(input.evil)`, `is no name of a field or record type`},
		{`name("a.b")`, `"a.b" is no name of a field or record type`},
		{`name("")`, `"" is no name`},
		{`name("1a")`, `is no name`},
		{`name("ä")`, `is no name`},
		{`name("a\nb")`, `is no name`},
		{`name("a\n")`, `is no name`},
		{`name("` + strings.Repeat("a", 129) + `")`, `is no name`},
		{`names(["a", "b c"])`, `"b c" is no name`},
	})
}

func TestEntities(t *testing.T) {
	t.Parallel()
	gives(t, [][2]string{
		{`[entity("contact").name, entity("CONTACT").set, len(entity("Contact").fields), entity("Case")?.set]`, `["Contact","contacts",3,null]`},
		{`soql("? = ?", field("contact", "mobilephone"), "1")`, `"MobilePhone = '1'"`},
		{`field(entity("contact"), "email")`, `"Email"`},
		{`phoneFields("contact")`, `["Phone","MobilePhone"]`},
		{`fieldsOf("contact")[0]`, `{"label":"Phone","name":"Phone","type":"phone","updatable":true}`},
		{`card(body.records[0], "Contact", [["Name", "Name"]])`, `[{"label":"Account.Name","name":"Account.Name","value":"Acme"}]`},
		{`card({Email: "a@b", Account: nil}, "contact", [])`, `[{"label":"E-mail","name":"Email","value":"a@b"}]`},
		{
			`card({a: 1, b: true, c: nil, d: "", e: {display_value: "x", value: "y"}, f: {x: 1}, g: [1], "h.i": 2}, "Case",
			[["a", "A"], ["b", "B"], ["c", "C"], ["d", "D"], ["e", "E"], ["f", "F"], ["g", "G"], ["h.i", "H"], ["z", "Z"]])`,
			`[{"label":"A","name":"a","value":"1"},{"label":"B","name":"b","value":"true"},{"label":"E","name":"e","value":"x"},{"label":"H","name":"h.i","value":"2"}]`,
		},
		{`card(nil, entity("Case"), [["a", "A"]])`, `[]`},
		{
			`card({a: "` + strings.Repeat("ä", 500) + `", b: "` + strings.Repeat("ä", 501) + `"}, "Case", [["a", "A"], ["b", "B"]])`,
			`[{"label":"A","name":"a","value":"` + strings.Repeat("ä", 500) + `"},{"label":"B","name":"b","value":"` + strings.Repeat("ä", 499) + `…"}]`,
		},
	})
	refuses(t, core.Invalid, [][2]string{
		{`entity("Lead")`, `unknown record type "Lead"; known are Contact, Case`},
		{`field("Contact", "Emial")`, `Contact has no known field "Emial" (did you mean "Email"?)`},
		{`phoneFields("x")`, `unknown record type "x"`},
	})
	refuses(t, core.Mapping, [][2]string{
		{`entity(nil)`, `entity: needs a record type, not nothing`},
		{`field("Contact", nil)`, `field: needs the name of a field`},
		{`card({}, "Case", [["a"]])`, `card: needs a list of [name, label]`},
		{`card({}, 1, [])`, `card: needs a record type`},
		{`card("x", "Case", [])`, `card: needs an object`},
	})
	p, err := expression.Compile(`entity("Contact")`, expression.Names{})
	require.NoError(t, err)
	_, err = p.Eval(&expression.Env{})
	require.EqualError(t, err, `unknown record type "Contact": none is known`)
	require.Len(t, names().Entities.All(), 2)
	var none *expression.Entities
	require.Empty(t, none.All())
	_, ok := none.Find("x")
	require.False(t, ok)
}

func TestCheckLoopName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"item", "entry", "a1_"} {
		require.Empty(t, expression.CheckLoopName(name))
	}
	for _, name := range []string{"", "1a", "a b", "ä", "input", "body", "index", "map", "phones", "nil", "in", "_x", "let"} {
		require.NotEmpty(t, expression.CheckLoopName(name), name)
	}
}
