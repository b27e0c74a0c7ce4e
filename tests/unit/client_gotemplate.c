/* Templates of -o go-template: what people write, what comes out, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/ui/gotemplate.h"
#include "proto/text/text.h"

static const char document[] =
    "{\"kind\":\"List\",\"n\":3,\"big\":1048576000,\"half\":0.5,\"yes\":true,\"no\":false,\"none\":null,\"empty\":[],"
    "\"s\":\"hello\",\"b64\":\"aGVsbG8=\",\"labels\":{\"b\":\"2\",\"a\":\"1\",\"x.io/y\":\"dotted\"},"
    "\"items\":[{\"metadata\":{\"name\":\"p1\"},\"status\":{\"phase\":\"Running\",\"ready\":true}},"
    "{\"metadata\":{\"name\":\"p2\"},\"status\":{\"phase\":\"Pending\"}}]}";

struct row {
    const char *template, *out; /* out NULL: it must fail */
    const char *message;
};

static void check(const struct row *row)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err = {0};
    struct value *doc;
    struct gotemplate *t;
    arena_init(&a);
    assert_int_equal(json_read(&a, str_of(document), &doc, &err), 0);
    int rc = gotemplate_parse(&a, row->template, &t, &err);
    rc = rc != 0 ? rc : gotemplate_run(&a, t, doc, &out, &err);
    if (row->out != NULL && (rc != 0 || strcmp(buf_cstr(&out), row->out) != 0)) {
        fail_msg("%s\ngave \"%s\" (%s)\nnot  \"%s\"", row->template, buf_cstr(&out), rc != 0 ? err.message : "done",
                 row->out);
    }
    if (row->out == NULL && (rc == 0 || (row->message != NULL && strstr(err.message, row->message) == NULL))) {
        fail_msg("%s\ngave \"%s\" and the error \"%s\", not \"%s\"", row->template, buf_cstr(&out), err.message,
                 row->message);
    }
}

static void check_all(const struct row *rows, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        check(&rows[i]);
    }
}

static void values_are_printed(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"", "", NULL},
        {"plain } text", "plain } text", NULL},
        {"{{.s}} {{ .n }}", "hello 3", NULL},
        {"{{.big}} {{.half}} {{.yes}}", "1048576000 0.5 true", NULL},
        {"{{.nosuch}}|{{.none}}", "<no value>|<no value>", NULL},
        {"{{.labels}}", "map[a:1 b:2 x.io/y:dotted]", NULL},
        {"{{.empty}} {{index .items 1}}", "[] map[metadata:map[name:p2] status:map[phase:Pending]]", NULL},
        {"{{\"a\\tb\"}}{{`raw\\n`}}{{'x'}} {{-3}} {{0x10}} {{1.5}} {{true}}", "a\tbraw\\n120 -3 16 1.5 true", NULL},
        {"{{(index .items 0).metadata.name}}", "p1", NULL},
        {"{{$.s}}{{with .labels}}{{.a}}{{$.n}}{{end}}", "hello13", NULL},
        {"{{/* nothing */}}x{{- /* nothing */ -}} y", "xy", NULL},
        {"a {{- .n -}} b", "a3b", NULL},
        {"a {{-3}} b", "a -3 b", NULL},
        {"a\n  {{- \"x\" }}\n", "ax\n", NULL},
        {"{{.s.x}}", NULL, "1:3: can't evaluate field x in type string"},
        {"line\n{{.nosuch.deeper}}", NULL, "2:3: nil pointer evaluating deeper"},
    };
    check_all(rows, ARRAY_SIZE(rows));
}

static void blocks_choose_and_repeat(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{range .items}}{{.metadata.name}} {{end}}", "p1 p2 ", NULL},
        {"{{range $i, $p := .items}}{{$i}}={{$p.status.phase}};{{end}}", "0=Running;1=Pending;", NULL},
        {"{{range $k, $v := .labels}}{{$k}}={{$v}} {{end}}", "a=1 b=2 x.io/y=dotted ", NULL},
        {"{{range .labels}}{{.}}{{end}}", "12dotted", NULL},
        {"{{range .empty}}x{{else}}none{{end}}{{range .nosuch}}x{{else}}none{{end}}", "nonenone", NULL},
        {"{{range 3}}{{.}}{{end}}", "012", NULL},
        {"{{range $i := .n}}{{$i}}{{end}}", "012", NULL},
        {"{{range .items}}{{if eq .metadata.name \"p2\"}}{{break}}{{end}}{{.metadata.name}}{{end}}", "p1", NULL},
        {"{{range .items}}{{if eq .metadata.name \"p1\"}}{{continue}}{{end}}{{.metadata.name}}{{end}}", "p2", NULL},
        {"{{range .items}}{{range $.items}}{{.metadata.name}}{{break}}{{end}}-{{end}}", "p1-p1-", NULL},
        {"{{if .empty}}a{{else if .s}}b{{else}}c{{end}}", "b", NULL},
        {"{{if .no}}a{{else if .none}}b{{else}}c{{end}}", "c", NULL},
        {"{{with .none}}a{{else with .labels}}{{.a}}{{else}}c{{end}}", "1", NULL},
        {"{{with $x := .labels}}{{$x.b}}{{end}}", "2", NULL},
        {"{{$n := 0}}{{range .items}}{{$n = .metadata.name}}{{end}}{{$n}}", "p2", NULL},
        {"{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1", NULL},
        {"{{define \"t\"}}<{{.}}{{$}}>{{end}}{{template \"t\" .s}}{{template \"t\"}}",
         "<hellohello><<no value><no value>>", NULL},
        {"{{block \"b\" .n}}[{{.}}]{{end}}", "[3]", NULL},
        {"{{range .s}}{{end}}", NULL, "range can't iterate over a string"},
        {"{{range 9000000000}}{{end}}", NULL, "more than 2000000 steps"},
        {"{{if .s}}", NULL, "expected {{end}}"},
        {"{{end}}", NULL, "without a beginning"},
        {"{{else}}x", NULL, "without a beginning"},
        {"{{break}}", NULL, "inside of range"},
        {"{{template \"x\"}}", NULL, "\"x\" is not defined"},
        {"{{define \"t\"}}{{template \"t\"}}{{end}}{{template \"t\"}}", NULL, "nested too deeply"},
        {"{{$x}}", NULL, "undefined variable \"$x\""},
        {"{{$x = 1}}", NULL, "undefined variable \"$x\""},
    };
    check_all(rows, ARRAY_SIZE(rows));
}

static void functions_are_called(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{len .items}} {{len .s}} {{len .labels}} {{len \"\"}}", "2 5 3 0", NULL},
        {"{{index .labels \"x.io/y\"}} {{index .items 0 \"metadata\" \"name\"}}", "dotted p1", NULL},
        {"{{index .labels \"none\"}}", "<no value>", NULL},
        {"{{index .items 7}}", NULL, "error calling index: index out of range: 7"},
        {"{{index .nosuch 0}}", NULL, "index of untyped nil"},
        {"{{eq .s \"hello\"}} {{eq .n 1 2 3}} {{eq .n 3.0}} {{ne .s \"x\"}} {{eq .yes true}}",
         "true true true true true", NULL},
        {"{{eq .nosuch \"x\"}} {{eq .nosuch nil}} {{ne .none nil}}", "false true false", NULL},
        {"{{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}} {{lt 0.5 .n}}", "true true true false true", NULL},
        {"{{eq .s 1}}", NULL, "incompatible types for comparison"},
        {"{{lt .nosuch 1}}", NULL, "no value"},
        {"{{and .s .n}} {{and .none .s.x}} {{or .none .s}} {{or .s .s.x}} {{not .empty}}",
         "3 <no value> hello hello true", NULL},
        {"{{and}}", NULL, "needs an argument"},
        {"{{.b64 | base64decode}} {{base64decode .b64 | printf \"%q\"}}", "hello \"hello\"", NULL},
        {"{{base64decode \"?\"}}", NULL, "no base64"},
        {"{{exists . \"labels\" \"a\"}} {{exists . \"labels\" \"q\"}}", "true false", NULL},
        {"{{slice .s 1 3}} {{slice .items 1 | len}}", "el 1", NULL},
        {"{{print 1 2 \"x\" 3}} {{println \"a\" 1}}", "1 2x3 a 1\n", NULL},
        {"{{html \"<a href='x'>\"}} {{urlquery \"a b&c\"}} {{js \"it's\"}}",
         "&lt;a href=&#39;x&#39;&gt; a+b%26c it\\'s", NULL},
        {"{{.s | len | printf \"%03d\"}}", "005", NULL},
        {"{{.s | .n}}", NULL, "must be a function"},
        {"{{.s .n}}", NULL, "no function"},
        {"{{nosuch 1}}", NULL, "no such function"},
        {"{{len 1 2}}", NULL, "wrong number of arguments"},
        {"{{if and (eq .kind \"List\") (gt (len .items) 1)}}many{{end}}", "many", NULL},
    };
    check_all(rows, ARRAY_SIZE(rows));
}

static void printf_has_gos_verbs(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{printf \"%s|%-8s|%8s|%.2s\" .s .s .s .s}}", "hello|hello   |   hello|he", NULL},
        {"{{printf \"%d %5d %-5d| %05d %+d %x %X\" 42 42 42 42 42 255 255}}", "42    42 42   | 00042 +42 ff FF", NULL},
        {"{{printf \"%v %v %v %v\" .s .n .yes .labels.a}}", "hello 3 true 1", NULL},
        {"{{printf \"%.2f %g %e\" .half .half .half}}", "0.50 0.5 5.000000e-01", NULL},
        {"{{printf \"%q %t %c %%\" .s .yes 65}}", "\"hello\" true A %", NULL},
        {"{{printf \"%d\" .s}}", "%!d(string=hello)", NULL},
        {"{{printf \"%s %d\" .s}}", "hello %!d(MISSING)", NULL},
        {"{{printf \"x\" 1}}", "x%!(EXTRA integer=1)", NULL},
        {"{{printf \"%s\" .none}}", "%!s(<nil>)", NULL},
        {"{{printf \"%\"}}", "%!(NOVERB)", NULL},
        {"{{printf \"%99999d\" 1 | len}}", "1000", NULL},
        {"{{range .items}}{{.metadata.name | printf \"%-5s\"}}{{.status.phase}}{{\"\\n\"}}{{end}}",
         "p1   Running\np2   Pending\n", NULL},
    };
    check_all(rows, ARRAY_SIZE(rows));
}

static void what_is_no_template_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"{{", NULL, "1:3"},
        {"{{.s", NULL, "expected }}"},
        {"{{}}", NULL, "missing value"},
        {"{{\"open}}", NULL, "a quote is not closed"},
        {"{{`open}}", NULL, "a quote is not closed"},
        {"{{/* open}}", NULL, "a comment is not closed"},
        {"{{(.s}}", NULL, "expected )"},
        {"{{.s)}}", NULL, "expected }}"},
        {"{{.s | }}", NULL, "missing value"},
        {"{{..s}}", NULL, "unexpected text"},
        {"{{\"\\z\"}}", NULL, "unknown escape"},
        {"{{12ab}}", NULL, "expected a number"},
        {"{{'ab'}}", NULL, "one character"},
        {"a\nb {{ # }}", NULL, "2:6: expected a value"},
    };
    check_all(rows, ARRAY_SIZE(rows));
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf deep = BUF_INIT;
    struct gotemplate *t;
    struct error err = {0};
    arena_init(&a);
    buf_puts(&deep, "{{");
    for (unsigned i = 0; i < 100000; i++) {
        buf_putc(&deep, '(');
    }
    assert_int_equal(gotemplate_parse(&a, buf_cstr(&deep), &t, &err), ERR_USAGE);
    assert_non_null(strstr(err.message, "nested too deeply"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_printed),
        cmocka_unit_test(blocks_choose_and_repeat),
        cmocka_unit_test(functions_are_called),
        cmocka_unit_test(printf_has_gos_verbs),
        cmocka_unit_test(what_is_no_template_is_refused_with_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
