/* Text to nodes, by recursive descent. Trim markers are applied while the text between actions is cut out. */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/ui/gotemplate_int.h"

struct parser {
    struct arena *a;
    struct gotemplate *t;
    const char *p, *end;
    struct error *err;
    unsigned depth, loops;
    bool trim_next; /* the last action ended in -}} */
};

int gotemplate_fail(const char *text, const char *at, struct error *err, const char *fmt, ...)
{
    char message[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    unsigned line = 1, column = 1;
    for (const char *p = text; p < at; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    return error_set(err, ERR_USAGE, "template: %u:%u: %s", line, column, message);
}

static int bad(struct parser *ps, const char *what)
{
    int n = (int)MIN((size_t)(ps->end - ps->p), (size_t)30);
    return gotemplate_fail(ps->t->text, ps->p, ps->err, "%s at \"%.*s\"", what, n, ps->p);
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static void skip_space(struct parser *ps)
{
    while (ps->p < ps->end && isspace((unsigned char)*ps->p)) {
        ps->p++;
    }
}

static bool take(struct parser *ps, const char *token)
{
    size_t n = strlen(token);
    if ((size_t)(ps->end - ps->p) < n || memcmp(ps->p, token, n) != 0) {
        return false;
    }
    ps->p += n;
    return true;
}

/* A whole word. */
static bool take_word(struct parser *ps, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(ps->end - ps->p) > n && is_name(ps->p[n])) {
        return false;
    }
    return take(ps, word);
}

static bool at_action_end(struct parser *ps)
{
    skip_space(ps);
    size_t left = (size_t)(ps->end - ps->p);
    return (left >= 2 && memcmp(ps->p, "}}", 2) == 0) || (left >= 3 && memcmp(ps->p, "-}}", 3) == 0);
}

static int end_action(struct parser *ps)
{
    if (!at_action_end(ps)) {
        return bad(ps, "expected }}");
    }
    ps->trim_next = *ps->p == '-';
    ps->p += ps->trim_next ? 3 : 2;
    return 0;
}

/* ---- Operands ---- */

/* Behind the opening quote. Escapes: \n \t \r \\ \" \' \0; \xHH. */
static int read_quoted(struct parser *ps, char quote, struct buf *out)
{
    for (; ps->p < ps->end && *ps->p != quote && *ps->p != '\n'; ps->p++) {
        char c = *ps->p;
        if (c == '\\' && ps->p + 1 < ps->end) {
            static const char from[] = "ntrabfv0\\\"'", to[] = "\n\t\r\a\b\f\v\0\\\"'";
            unsigned hex;
            const char *known = strchr(from, *++ps->p);
            if (*ps->p == 'x' && sscanf(ps->p + 1, "%2x", &hex) == 1) {
                buf_putc(out, (char)hex);
                ps->p += 2;
                continue;
            }
            if (known == NULL) {
                return bad(ps, "unknown escape");
            }
            c = to[known - from];
        }
        buf_putc(out, c);
    }
    if (ps->p >= ps->end || *ps->p != quote) {
        return bad(ps, "a quote is not closed");
    }
    ps->p++;
    return 0;
}

static int read_string(struct parser *ps, struct term *t)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char quote = *ps->p++;
    if (quote == '`') {
        const char *close = memchr(ps->p, '`', (size_t)(ps->end - ps->p));
        if (close == NULL) {
            return bad(ps, "a quote is not closed");
        }
        buf_append(&b, ps->p, (size_t)(close - ps->p));
        ps->p = close + 1;
    } else {
        int rc = read_quoted(ps, quote, &b);
        if (rc != 0) {
            return rc;
        }
    }
    if (quote == '\'') {
        if (b.size != 1) {
            return bad(ps, "a character constant has one character");
        }
        t->literal = value_int(ps->a, b.data[0]);
        return 0;
    }
    t->literal = value_str(ps->a, buf_str(&b));
    return 0;
}

static int read_number(struct parser *ps, struct term *t)
{
    char text[64];
    size_t n = 0;
    while (ps->p + n < ps->end && n < sizeof text - 1 &&
           (is_name(ps->p[n]) || ps->p[n] == '.' ||
            ((ps->p[n] == '-' || ps->p[n] == '+') && (n == 0 || tolower((unsigned char)ps->p[n - 1]) == 'e')))) {
        text[n] = ps->p[n];
        n++;
    }
    text[n] = '\0';
    char *end;
    long long i = strtoll(text, &end, 0);
    if (end != text && *end == '\0') {
        t->literal = value_int(ps->a, i);
    } else {
        double d = strtod(text, &end);
        if (end == text || *end != '\0') {
            return bad(ps, "expected a number");
        }
        t->literal = value_float(ps->a, d);
    }
    ps->p += n;
    return 0;
}

static int read_pipe(struct parser *ps, struct pipe **out);

static int read_fields(struct parser *ps, struct term *t)
{
    while (ps->p < ps->end && *ps->p == '.' && ps->p + 1 < ps->end && is_name(ps->p[1])) {
        const char *from = ++ps->p;
        while (ps->p < ps->end && is_name(*ps->p)) {
            ps->p++;
        }
        struct str *more = arena_alloc(ps->a, (t->fields_count + 1) * sizeof *more);
        if (t->fields_count > 0) {
            memcpy(more, t->fields, t->fields_count * sizeof *more);
        }
        more[t->fields_count++] = (struct str){from, (size_t)(ps->p - from)};
        t->fields = more;
    }
    return 0;
}

static int read_parenthesis(struct parser *ps, struct term *t)
{
    t->type = TERM_PIPE;
    ps->p++;
    if (++ps->depth > GOTEMPLATE_DEPTH_MAX) {
        return bad(ps, "nested too deeply");
    }
    int rc = read_pipe(ps, &t->pipe);
    ps->depth--;
    skip_space(ps);
    if (rc == 0 && !take(ps, ")")) {
        rc = bad(ps, "expected )");
    }
    return rc;
}

static int read_word(struct parser *ps, struct term *t)
{
    const char *from = ps->p;
    while (ps->p < ps->end && is_name(*ps->p)) {
        ps->p++;
    }
    t->name = (struct str){from, (size_t)(ps->p - from)};
    t->type = TERM_LITERAL;
    if (str_is(t->name, "true") || str_is(t->name, "false")) {
        t->literal = value_bool(ps->a, *from == 't');
    } else if (!str_is(t->name, "nil")) {
        t->type = TERM_FUNCTION;
        if (gotemplate_find_function(t->name) == NULL) {
            ps->p = from;
            return bad(ps, "no such function");
        }
    }
    return 0;
}

static int read_term(struct parser *ps, struct term **out)
{
    struct term *t = arena_alloc(ps->a, sizeof *t);
    *t = (struct term){.type = TERM_LITERAL, .at = ps->p};
    *out = t;
    char c = ps->p < ps->end ? *ps->p : '\0', next = ps->p + 1 < ps->end ? ps->p[1] : '\0';
    int rc = 0;
    if (c == '"' || c == '`' || c == '\'') {
        rc = read_string(ps, t);
    } else if (isdigit((unsigned char)c) || ((c == '-' || c == '+' || c == '.') && isdigit((unsigned char)next))) {
        return read_number(ps, t);
    } else if (c == '.') {
        t->type = TERM_DOT;
        if (!is_name(next)) {
            ps->p++;
            return 0;
        }
    } else if (c == '$') {
        const char *from = ps->p++;
        while (ps->p < ps->end && is_name(*ps->p)) {
            ps->p++;
        }
        t->type = TERM_VARIABLE;
        t->name = (struct str){from, (size_t)(ps->p - from)};
    } else if (c == '(') {
        rc = read_parenthesis(ps, t);
    } else if (isalpha((unsigned char)c) || c == '_') {
        rc = read_word(ps, t);
    } else {
        return bad(ps, "expected a value");
    }
    return rc != 0 || t->type == TERM_FUNCTION ? rc : read_fields(ps, t);
}

static int read_call(struct parser *ps, struct call **out)
{
    struct call *c = arena_alloc(ps->a, sizeof *c);
    *c = (struct call){0};
    struct term **last = &c->first;
    for (;;) {
        skip_space(ps);
        if (at_action_end(ps) || ps->p >= ps->end || *ps->p == '|' || *ps->p == ')') {
            break;
        }
        int rc = read_term(ps, last);
        if (rc != 0) {
            return rc;
        }
        last = &(*last)->next;
        if (ps->p < ps->end && !isspace((unsigned char)*ps->p) && *ps->p != '|' && *ps->p != ')' &&
            !at_action_end(ps)) {
            return bad(ps, "unexpected text");
        }
    }
    if (c->first == NULL) {
        return bad(ps, "missing value");
    }
    *out = c;
    return 0;
}

/* $x :=, $x =, $i, $e := in front of a pipeline; nothing is consumed if there is none. */
static int read_declaration(struct parser *ps, struct pipe *pipe)
{
    const char *start = ps->p;
    for (unsigned i = 0; i < 2; i++) {
        skip_space(ps);
        const char *from = ps->p;
        if (!take(ps, "$")) {
            break;
        }
        while (ps->p < ps->end && is_name(*ps->p)) {
            ps->p++;
        }
        pipe->names[i] = (struct str){from, (size_t)(ps->p - from)};
        skip_space(ps);
        pipe->declares = take(ps, ":=");
        if (pipe->declares || take(ps, "=")) {
            return 0;
        }
        if (!take(ps, ",")) {
            break;
        }
    }
    pipe->names[0] = pipe->names[1] = STR_NONE;
    ps->p = start;
    return 0;
}

static int read_pipe(struct parser *ps, struct pipe **out)
{
    struct pipe *pipe = arena_alloc(ps->a, sizeof *pipe);
    *pipe = (struct pipe){0};
    *out = pipe;
    int rc = read_declaration(ps, pipe);
    struct call **last = &pipe->first;
    while (rc == 0) {
        rc = read_call(ps, last);
        if (rc != 0) {
            break;
        }
        bool first = last == &pipe->first;
        if (!first && (*last)->first->type != TERM_FUNCTION) {
            return bad(ps, "what follows | must be a function");
        }
        last = &(*last)->next;
        skip_space(ps);
        if (!take(ps, "|")) {
            break;
        }
    }
    return rc;
}

/* ---- Nodes ---- */

enum ending { ENDED_TEXT, ENDED_END, ENDED_ELSE };

static int read_nodes(struct parser *ps, struct node **out, enum ending *ending);

static struct node *new_node(struct parser *ps, enum node_type type)
{
    struct node *n = arena_alloc(ps->a, sizeof *n);
    *n = (struct node){.type = type, .at = ps->p};
    return n;
}

static int read_block(struct parser *ps, struct node *n);

/* Behind {{else: either }} and nodes up to the end, or another if or with. */
static int read_else(struct parser *ps, struct node *n)
{
    enum ending ending;
    skip_space(ps);
    bool more = (n->type == NODE_IF && take_word(ps, "if")) || (n->type == NODE_WITH && take_word(ps, "with"));
    if (more) {
        n->otherwise = new_node(ps, n->type);
        return read_block(ps, n->otherwise);
    }
    int rc = end_action(ps);
    rc = rc != 0 ? rc : read_nodes(ps, &n->otherwise, &ending);
    return rc != 0 || ending == ENDED_END ? rc : bad(ps, "expected {{end}}");
}

/* The pipeline and the body of if, range, with. */
static int read_block(struct parser *ps, struct node *n)
{
    enum ending ending;
    if (++ps->depth > GOTEMPLATE_DEPTH_MAX) {
        return bad(ps, "nested too deeply");
    }
    ps->loops += n->type == NODE_RANGE;
    skip_space(ps);
    int rc = read_pipe(ps, &n->pipe);
    rc = rc != 0 ? rc : end_action(ps);
    rc = rc != 0 ? rc : read_nodes(ps, &n->body, &ending);
    ps->loops -= n->type == NODE_RANGE;
    if (rc == 0 && ending == ENDED_ELSE) {
        rc = read_else(ps, n);
    } else if (rc == 0 && ending == ENDED_TEXT) {
        rc = bad(ps, "expected {{end}}");
    }
    ps->depth--;
    return rc;
}

static int read_name(struct parser *ps, struct str *out)
{
    struct term t = {0};
    skip_space(ps);
    if (ps->p >= ps->end || (*ps->p != '"' && *ps->p != '`')) {
        return bad(ps, "expected a name in quotes");
    }
    int rc = read_string(ps, &t);
    *out = rc == 0 ? value_to_str(t.literal) : STR_NONE;
    return rc;
}

static int define(struct parser *ps, struct str name)
{
    enum ending ending;
    struct definition *d = arena_alloc(ps->a, sizeof *d);
    *d = (struct definition){.name = name, .next = ps->t->definitions};
    if (++ps->depth > GOTEMPLATE_DEPTH_MAX) {
        return bad(ps, "nested too deeply");
    }
    int rc = end_action(ps);
    rc = rc != 0 ? rc : read_nodes(ps, &d->body, &ending);
    ps->depth--;
    ps->t->definitions = d;
    return rc != 0 || ending == ENDED_END ? rc : bad(ps, "expected {{end}}");
}

/* {{template "x" PIPE}}; {{block "x" PIPE}}...{{end}} is that and a definition. */
static int read_template(struct parser *ps, struct node *n, bool block)
{
    int rc = read_name(ps, &n->text);
    if (rc == 0 && !at_action_end(ps)) {
        rc = read_pipe(ps, &n->pipe);
    }
    return rc != 0 ? rc : block ? define(ps, n->text) : end_action(ps);
}

/* Behind {{. *n NULL: it was a comment or a definition. */
static int read_action(struct parser *ps, struct node **n, enum ending *ending)
{
    static const struct {
        const char *word;
        enum node_type type;
    } blocks[] = {{"if", NODE_IF}, {"range", NODE_RANGE}, {"with", NODE_WITH}};
    *n = NULL;
    skip_space(ps);
    if (take(ps, "/*")) {
        const char *close = memmem(ps->p, (size_t)(ps->end - ps->p), "*/", 2);
        if (close == NULL) {
            return bad(ps, "a comment is not closed");
        }
        ps->p = close + 2;
        return end_action(ps);
    }
    if (take_word(ps, "end")) {
        *ending = ENDED_END;
        return end_action(ps);
    }
    if (take_word(ps, "else")) {
        *ending = ENDED_ELSE;
        return 0;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(blocks); i++) {
        if (take_word(ps, blocks[i].word)) {
            *n = new_node(ps, blocks[i].type);
            return read_block(ps, *n);
        }
    }
    if (take_word(ps, "define")) {
        struct str name;
        int rc = read_name(ps, &name);
        return rc != 0 ? rc : define(ps, name);
    }
    bool block = take_word(ps, "block");
    if (block || take_word(ps, "template")) {
        *n = new_node(ps, NODE_TEMPLATE);
        return read_template(ps, *n, block);
    }
    bool broken = take_word(ps, "break");
    if (broken || take_word(ps, "continue")) {
        *n = new_node(ps, broken ? NODE_BREAK : NODE_CONTINUE);
        return ps->loops == 0 ? bad(ps, "break and continue stand inside of range") : end_action(ps);
    }
    *n = new_node(ps, NODE_PIPE);
    int rc = read_pipe(ps, &(*n)->pipe);
    return rc != 0 ? rc : end_action(ps);
}

static void add_text(struct parser *ps, struct node ***last, const char *from, const char *to, bool trim_end)
{
    while (ps->trim_next && from < to && isspace((unsigned char)*from)) {
        from++;
    }
    while (trim_end && to > from && isspace((unsigned char)to[-1])) {
        to--;
    }
    ps->trim_next = false;
    if (to > from) {
        struct node *n = new_node(ps, NODE_TEXT);
        n->text = (struct str){from, (size_t)(to - from)};
        **last = n;
        *last = &n->next;
    }
}

static int read_nodes(struct parser *ps, struct node **out, enum ending *ending)
{
    struct node **last = out;
    *out = NULL;
    *ending = ENDED_TEXT;
    while (ps->p < ps->end) {
        const char *from = ps->p, *open = memmem(ps->p, (size_t)(ps->end - ps->p), "{{", 2);
        if (open == NULL) {
            add_text(ps, &last, from, ps->end, false);
            ps->p = ps->end;
            break;
        }
        bool trim = ps->end - open > 3 && open[2] == '-' && isspace((unsigned char)open[3]);
        add_text(ps, &last, from, open, trim);
        ps->p = open + (trim ? 3 : 2);
        struct node *n;
        int rc = read_action(ps, &n, ending);
        if (rc != 0 || *ending != ENDED_TEXT) {
            return rc;
        }
        if (n != NULL) {
            *last = n;
            last = &n->next;
        }
    }
    return 0;
}

int gotemplate_parse(struct arena *a, const char *text, struct gotemplate **out, struct error *err)
{
    assert(a != NULL && text != NULL);
    size_t n = strlen(text);
    if (n > GOTEMPLATE_SIZE_MAX) {
        return error_set(err, ERR_TOO_LARGE, "the template is larger than %u bytes", GOTEMPLATE_SIZE_MAX);
    }
    struct gotemplate *t = arena_alloc(a, sizeof *t);
    *t = (struct gotemplate){.text = text};
    struct parser ps = {.a = a, .t = t, .p = text, .end = text + n, .err = err};
    enum ending ending;
    int rc = read_nodes(&ps, &t->body, &ending);
    if (rc == 0 && ending != ENDED_TEXT) {
        rc = bad(&ps, "an {{end}} or {{else}} without a beginning");
    }
    *out = rc == 0 ? t : NULL;
    return rc;
}
