/* The rules of validation as tables: tests/script/validate/NAME.txt, one file for each part of the API. Lines:
 *
 *   # comment
 *   frame YAML       the document that the rows below are set into, at its @
 *   ok SNIPPET       the document is accepted
 *   bad SNIPPET      the document is refused; the indented lines below are all its findings, each from its beginning;
 *                    "..." stands for any
 *     PATH: KIND...  text, and what is behind the last piece may be anything
 *   from SNIPPET     the rows below are changes of the document with this snippet; `from` alone ends that. A document
 *                    without a status keeps that of the former one, as in a change of the spec
 *   gives SNIPPET    the document is accepted, and has these values afterwards:
 *     PATH = JSON    ("none": not there)
 *
 * %c*N% in a snippet or a finding stands for N times the character c. SNIPPET and frame are YAML in flow style, so a
 * row is one line. */
#include <ctype.h>
#include <glob.h>
#include <stdlib.h>

#include "tests/unit/proto_kind_fixture.h"

#define LINE_MAX_ 4096

struct table {
    struct fixture *f;
    const char *path;
    unsigned line, rows, failed;
    char *frame;
    struct value *old;   /* changes of this one; NULL: documents are made */
    char row[LINE_MAX_]; /* the row whose expectations are being read; "" before the first */
    unsigned row_line;
    struct value *result; /* of a row that was accepted */
    char findings[2048];  /* of a row that was refused: what is not expected yet, "\n* " in front of each */
    bool refused, gives;
};

static void complain(struct table *t, const char *what, const char *text)
{
    fprintf(stderr, "%s:%u: %s\n    %s\n    %s\n", t->path, t->row_line, t->row, what, text);
    t->failed++;
}

/* %c*N% */
static void expand(struct buf *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        unsigned n;
        int end = 0;
        if (p[0] == '%' && p[1] != '\0' && p[2] == '*' && sscanf(p + 3, "%u%%%n", &n, &end) == 1 && end > 0) {
            for (unsigned i = 0; i < n; i++) {
                buf_putc(out, p[1]);
            }
            p += 2 + end;
        } else {
            buf_putc(out, *p);
        }
    }
}

static struct value *document(struct table *t, const char *snippet)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_non_null(t->frame);
    const char *at = strchr(t->frame, '@');
    assert_non_null(at);
    buf_append(&b, t->frame, (size_t)(at - t->frame));
    expand(&b, snippet);
    buf_puts(&b, at + 1);
    struct value **docs;
    unsigned count;
    struct error err = {0};
    if (yaml_read(&t->f->arena, buf_str(&b), NULL, &docs, &count, &err) != 0 || count != 1) {
        complain(t, "is no YAML", err.message);
        return value_map(&t->f->arena);
    }
    return docs[0];
}

/* Every finding on a line of its own, without its place in the text. That a field is not carried out yet is no rule of
 * validation (proto_kind_state.c tests it). */
static void list_findings(struct table *t, const char *message)
{
    const char *p = strstr(message, " is invalid:");
    CLEANUP_BUF struct buf b = BUF_INIT;
    p = p == NULL ? message : p + strlen(" is invalid:");
    if (*p == ' ') {
        buf_puts(&b, "\n* ");
        p++;
    }
    for (; *p != '\0'; p++) {
        unsigned line, column;
        int end = 0;
        if (strncmp(p, "line ", 5) == 0 && sscanf(p, "line %u, column %u: %n", &line, &column, &end) == 2 && end > 0) {
            p += end;
        }
        buf_putc(&b, *p);
    }
    snprintf(t->findings, sizeof t->findings, "%s", buf_cstr(&b));
    for (char *at = t->findings; (at = strstr(at, "\n* ")) != NULL;) {
        char *end = strstr(at + 3, "\n* "), *not_yet = strstr(at, "not carried out yet");
        end = end == NULL ? at + strlen(at) : end;
        if (not_yet != NULL && not_yet < end) {
            memmove(at, end, strlen(end) + 1);
        } else {
            at = end;
        }
    }
}

static void check_row(struct table *t, const char *snippet, bool wanted)
{
    struct value *doc = document(t, snippet);
    struct value *old = t->old == NULL ? NULL : value_copy(&t->f->arena, t->old);
    if (old != NULL && value_get(doc, "status") == NULL && value_get(old, "status") != NULL) {
        value_set(&t->f->arena, doc, "status", value_copy(&t->f->arena, value_get(old, "status")));
    }
    t->rows++;
    t->result = NULL;
    t->findings[0] = '\0';
    if (fixture_check_value(t->f, doc, old) == 0) {
        t->result = doc;
        if (!wanted) {
            complain(t, "was accepted", "");
        }
        return;
    }
    list_findings(t, t->f->err.message);
    if (wanted && t->findings[0] != '\0') {
        complain(t, "was refused", t->findings);
    } else if (wanted) {
        t->result = doc;
    } else if (t->findings[0] == '\0') {
        complain(t, "was refused, but by no rule", t->f->err.message);
    }
}

static bool matches(const char *text, const char *end, const char *pattern)
{
    for (bool first = true;; first = false) {
        const char *dots = strstr(pattern, "...");
        size_t n = dots == NULL ? strlen(pattern) : (size_t)(dots - pattern);
        const char *at = n == 0 ? text : memmem(text, (size_t)(end - text), pattern, n);
        if (at == NULL || (first && at != text)) {
            return false;
        }
        if (dots == NULL) {
            return true;
        }
        text = at + n;
        pattern = dots + 3;
    }
}

static void expect_finding(struct table *t, const char *pattern)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    expand(&b, pattern);
    for (char *p = t->findings; (p = strstr(p, "\n* ")) != NULL;) {
        char *text = p + 3, *end = strstr(text, "\n* ");
        end = end == NULL ? text + strlen(text) : end;
        if (matches(text, end, buf_cstr(&b))) {
            memmove(p, end, strlen(end) + 1);
            return;
        }
        p = end;
    }
    complain(t, pattern, t->findings[0] == '\0' ? "is not among the findings" : t->findings);
}

static void expect_field(struct table *t, char *text)
{
    char *eq = strstr(text, " = ");
    if (eq == NULL || t->result == NULL) {
        complain(t, "no value to compare", text);
        return;
    }
    *eq = '\0';
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *v = t->result;
    /* value_path knows members; [N] is ours. */
    for (char *save = NULL, *part = strtok_r(text, ".", &save); part != NULL && v != NULL;
         part = strtok_r(NULL, ".", &save)) {
        unsigned index;
        char *bracket = strchr(part, '[');
        if (bracket != NULL) {
            *bracket = '\0';
        }
        v = value_get(v, part);
        if (bracket != NULL && v != NULL && sscanf(bracket + 1, "%u", &index) == 1) {
            v = index < value_count(v) ? value_item(v, index) : NULL;
        }
    }
    if (v != NULL) {
        json_write(&b, v, 0);
    }
    const char *is = v == NULL ? "none" : buf_cstr(&b);
    if (strcmp(is, eq + 3) != 0) {
        *eq = ' ';
        complain(t, text, is);
    }
}

/* What a row must have told is all told. */
static void finish_row(struct table *t)
{
    if (t->refused && t->findings[0] != '\0') {
        complain(t, "findings that no line expects:", t->findings);
    }
    t->findings[0] = '\0';
    t->refused = t->gives = false;
}

static void start_row(struct table *t, const char *line)
{
    finish_row(t);
    snprintf(t->row, sizeof t->row, "%.200s", line);
    t->row_line = t->line;
    const char *rest = strchr(line, ' ');
    rest = rest == NULL ? "" : rest + strspn(rest, " ");
    size_t n = strcspn(line, " ");
    struct str word = {line, n};
    if (str_is(word, "frame")) {
        free(t->frame);
        t->frame = xstrdup(rest);
        t->old = NULL;
    } else if (str_is(word, "from")) {
        t->old = NULL;
        if (*rest != '\0') {
            check_row(t, rest, true);
            t->rows--;
            t->old = t->result;
        }
    } else if (str_is(word, "ok") || str_is(word, "gives")) {
        t->gives = str_is(word, "gives");
        check_row(t, rest, true);
    } else if (str_is(word, "bad")) {
        t->refused = true;
        check_row(t, rest, false);
    } else {
        complain(t, "is no row", "");
    }
}

static void read_line(struct table *t, char *line)
{
    t->line++;
    if (line[0] == '\0' || line[0] == '#') {
        return;
    }
    if (line[0] != ' ') {
        start_row(t, line);
        return;
    }
    line += strspn(line, " ");
    if (t->gives) {
        expect_field(t, line);
    } else if (t->refused) {
        expect_finding(t, line);
    } else {
        complain(t, "expects nothing", line);
    }
}

static void every_row_is_judged_as_the_table_says(void **state)
{
    struct fixture *f = *state;
    glob_t files;
    unsigned rows = 0, failed = 0;
    assert_int_equal(glob("tests/script/validate/*.txt", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        struct table t = {.f = f, .path = files.gl_pathv[i]};
        char line[LINE_MAX_];
        FILE *in = fopen(t.path, "r");
        assert_non_null(in);
        while (fgets(line, sizeof line, in) != NULL) {
            assert_non_null(strchr(line, '\n'));
            line[strcspn(line, "\n")] = '\0';
            read_line(&t, line);
        }
        finish_row(&t);
        fclose(in);
        free(t.frame);
        rows += t.rows;
        failed += t.failed;
    }
    globfree(&files);
    printf("%u rows\n", rows);
    assert_int_equal(failed, 0);
}

/* ---- Examples ---- */

static void read_whole(struct buf *out, const char *path)
{
    char line[LINE_MAX_];
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        buf_puts(out, line);
    }
    fclose(in);
}

static void the_examples_of_workloads_are_accepted(void **state)
{
    struct fixture *f = *state;
    glob_t files;
    assert_int_equal(glob("examples/workloads/*.yaml", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT;
        struct value **docs;
        unsigned count;
        read_whole(&text, files.gl_pathv[i]);
        if (yaml_read(&f->arena, buf_str(&text), files.gl_pathv[i], &docs, &count, &f->err) != 0) {
            fail_msg("%s", f->err.message);
        }
        for (unsigned k = 0; k < count; k++) {
            if (fixture_check_value(f, docs[k], NULL) != 0) {
                fail_msg("%s: %s", files.gl_pathv[i], f->err.message);
            }
        }
    }
    globfree(&files);
}

/* ---- Every field is in a table ---- */

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += n) {
        if ((p == text || !isalnum((unsigned char)p[-1])) && !isalnum((unsigned char)p[n])) {
            return true;
        }
    }
    return false;
}

static unsigned find_missing(const char *tables, const struct schema *s, const char *kind)
{
    unsigned missing = 0;
    for (unsigned i = 0; i < s->count; i++) {
        const struct field *f = &s->fields[i];
        if (f->flags & (FIELD_STATUS | FIELD_READONLY)) {
            continue;
        }
        if (!has_word(tables, f->name)) {
            fprintf(stderr,
                    "%s: %s of %s is in no row of tests/script/validate: say there what is accepted and what refused\n",
                    kind, f->name, s->name);
            missing++;
        }
        if (f->type == FIELD_OBJECT) {
            missing += find_missing(tables, f->sub, kind);
        }
    }
    return missing;
}

static void every_field_that_users_write_is_in_a_table(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf tables = BUF_INIT;
    glob_t files;
    assert_int_equal(glob("tests/script/validate/*.txt", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        char line[LINE_MAX_];
        FILE *in = fopen(files.gl_pathv[i], "r");
        assert_non_null(in);
        while (fgets(line, sizeof line, in) != NULL) {
            if (line[0] != '#') {
                buf_puts(&tables, line);
            }
        }
        fclose(in);
    }
    globfree(&files);
    unsigned missing = 0;
    for (unsigned i = 0; i < kinds_count(); i++) {
        missing += find_missing(buf_cstr(&tables), kinds_at(i)->schema, kinds_at(i)->name);
    }
    assert_int_equal(missing, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_that_users_write_is_in_a_table),
        cmocka_unit_test_setup_teardown(every_row_is_judged_as_the_table_says, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(the_examples_of_workloads_are_accepted, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
