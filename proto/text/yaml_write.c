/* YAML out, in the layout people know from kubectl: block style, lists not indented below their key.
 *
 * Every text written here must read back as the same value: plain where no YAML 1.1 reader can see another type, quoted
 * otherwise, literal blocks for text of several lines. */
#include <assert.h>
#include <math.h>

#include "proto/text/scalar.h"
#include "proto/text/text.h"

/* A reader looks for the colon of a key at most this far (libyaml: 1024 characters on one line). */
#define SIMPLE_KEY_MAX 900

static void indent(struct buf *out, unsigned level)
{
    for (unsigned i = 0; i < level; i++) {
        buf_puts(out, "  ");
    }
}

/* c-printable of YAML without the line breaks and the byte order mark. */
static bool is_printable(int32_t c)
{
    return (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c < 0xd800 && c != 0x2028 && c != 0x2029) ||
           (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

struct look {
    bool printable; /* no control characters (but \n and \t), valid UTF-8 */
    bool lines;     /* has \n */
    bool tab;
    bool indicators; /* ": ", " #", or a first character that means something */
};

static struct look look_at(struct str s)
{
    struct look k = {.printable = true};
    char before = ' ';
    for (size_t i = 0; i < s.n;) {
        unsigned n;
        int32_t c = utf8_decode((struct str){s.p + i, s.n - i}, &n);
        char next = i + n < s.n ? s.p[i + n] : ' ';
        bool next_blank = next == ' ' || next == '\n' || next == '\t';
        k.lines |= c == '\n';
        k.tab |= c == '\t';
        k.printable &= c == '\n' || c == '\t' || is_printable(c);
        k.indicators |= (c == ':' && next_blank) || (c == '#' && (before == ' ' || before == '\t'));
        if (i == 0) {
            k.indicators |= c > 0 && c < 0x80 && strchr(",[]{}#&*!|>'\"%@`", c) != NULL;
            k.indicators |= (c == '-' || c == '?' || c == ':') && next_blank;
        }
        before = s.p[i];
        i += n;
    }
    k.indicators |= s.n > 0 && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
    k.indicators |= str_starts(s, STR("---")) || str_starts(s, STR("..."));
    return k;
}

static void write_double_quoted(struct buf *out, struct str s)
{
    static const char from[] = "\"\\\n\r\t", to[] = "\"\\nrt";
    buf_putc(out, '"');
    for (size_t i = 0; i < s.n;) {
        unsigned n;
        int32_t c = utf8_decode((struct str){s.p + i, s.n - i}, &n);
        const char *at = c > 0 && c < 0x80 ? strchr(from, c) : NULL;
        if (at != NULL) {
            buf_putc(out, '\\');
            buf_putc(out, to[at - from]);
        } else if (c < 0) {
            buf_puts(out, "\\uFFFD");
        } else if (is_printable(c)) {
            buf_append(out, s.p + i, n);
        } else if (c < 0x10000) {
            buf_printf(out, "\\u%04X", (unsigned)c);
        } else {
            buf_printf(out, "\\U%08X", (unsigned)c);
        }
        i += n;
    }
    buf_putc(out, '"');
}

static void write_single_quoted(struct buf *out, struct str s)
{
    buf_putc(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\'') {
            buf_putc(out, '\'');
        }
        buf_putc(out, s.p[i]);
    }
    buf_putc(out, '\'');
}

/* One line. */
static void write_flow_string(struct buf *out, struct str s)
{
    struct look k = look_at(s);
    if (s.n == 0 || !k.printable || k.lines || k.tab || scalar_needs_quotes(s)) {
        write_double_quoted(out, s);
    } else if (k.indicators) {
        write_single_quoted(out, s);
    } else {
        buf_append_str(out, s);
    }
}

/* `|` keeps one final line break, `|-` none, `|+` all; a digit tells the indentation if the text itself begins with
 * blanks. */
static void write_literal(struct buf *out, struct str s, unsigned level)
{
    bool ends = s.p[s.n - 1] == '\n';
    bool ends_more = ends && (s.n == 1 || s.p[s.n - 2] == '\n');
    buf_putc(out, '|');
    if (s.p[0] == ' ' || s.p[0] == '\n') {
        buf_putc(out, '2');
    }
    buf_puts(out, ends_more ? "+" : ends ? "" : "-");
    for (size_t i = 0; i < s.n;) {
        const char *nl = memchr(s.p + i, '\n', s.n - i);
        size_t n = nl == NULL ? s.n - i : (size_t)(nl - (s.p + i));
        buf_putc(out, '\n');
        if (n > 0) {
            indent(out, level);
            buf_append(out, s.p + i, n);
        }
        i += n + 1;
    }
}

/* level = of the block the string stands in; a literal block is indented one further. */
static void write_string(struct buf *out, struct str s, unsigned level)
{
    struct look k = look_at(s);
    /* Lines that begin with a tab, and lines of blanks only, are where readers disagree. */
    bool plain_lines = k.lines && k.printable && s.p[0] != '\t' && !(s.p[0] == '\n' && s.n == 1);
    for (size_t i = 0; plain_lines && i < s.n; i++) {
        bool line_end = i + 1 == s.n || s.p[i + 1] == '\n';
        plain_lines =
            !((s.p[i] == ' ' || s.p[i] == '\t') && line_end) && !(s.p[i] == '\n' && i + 1 < s.n && s.p[i + 1] == '\t');
    }
    if (plain_lines) {
        write_literal(out, s, level);
    } else {
        write_flow_string(out, s);
    }
}

static void write_scalar(struct buf *out, const struct value *v, unsigned level)
{
    char number[SCALAR_FLOAT_SIZE];
    switch (v->type) {
    case VALUE_BOOL:
        buf_puts(out, v->boolean ? "true" : "false");
        break;
    case VALUE_INT:
        buf_printf(out, "%lld", (long long)v->integer);
        break;
    case VALUE_FLOAT:
        if (isfinite(v->number)) {
            scalar_format_float(v->number, number);
            buf_puts(out, number);
        } else {
            buf_puts(out, "null");
        }
        break;
    case VALUE_STR:
        write_string(out, v->str, level);
        break;
    case VALUE_BIN: {
        CLEANUP_BUF struct buf text = BUF_INIT;
        base64_write(&text, v->str.p, v->str.n);
        write_flow_string(out, buf_str(&text));
        break;
    }
    case VALUE_LIST:
        buf_puts(out, "[]");
        break;
    case VALUE_MAP:
        buf_puts(out, "{}");
        break;
    case VALUE_NULL:
        buf_puts(out, "null");
        break;
    }
}

static void write_block(struct buf *out, const struct value *v, unsigned level, bool inline_first);

/* What follows "key:" or "key: ". A list below a key stands at the key's own level. */
static void write_member_value(struct buf *out, const struct value *v, unsigned level)
{
    if (value_count(v) == 0) {
        buf_putc(out, ' ');
        write_scalar(out, v, level + 1);
        buf_putc(out, '\n');
        return;
    }
    buf_putc(out, '\n');
    write_block(out, v, v->type == VALUE_LIST ? level : level + 1, false);
}

static void write_member(struct buf *out, const struct value_member *m, unsigned level)
{
    CLEANUP_BUF struct buf key = BUF_INIT;
    write_flow_string(&key, m->key);
    if (key.size > SIMPLE_KEY_MAX) {
        buf_puts(out, "? ");
        buf_append_str(out, buf_str(&key));
        buf_putc(out, '\n');
        indent(out, level);
    } else {
        buf_append_str(out, buf_str(&key));
    }
    buf_putc(out, ':');
    write_member_value(out, m->value, level);
}

/* A non-empty list or map. inline_first: the cursor stands behind "- " already, where the first line goes. */
static void write_block(struct buf *out, const struct value *v, unsigned level, bool inline_first)
{
    for (unsigned i = 0; i < value_count(v); i++) {
        if (i > 0 || !inline_first) {
            indent(out, level);
        }
        if (v->type == VALUE_MAP) {
            write_member(out, &v->map.members[i], level);
            continue;
        }
        const struct value *item = v->list.items[i];
        buf_puts(out, "- ");
        if (value_count(item) > 0) {
            write_block(out, item, level + 1, true);
        } else {
            write_scalar(out, item, level + 1);
            buf_putc(out, '\n');
        }
    }
}

void yaml_write(struct buf *out, const struct value *v)
{
    assert(v != NULL);
    if (value_count(v) > 0) {
        write_block(out, v, 0, false);
        return;
    }
    write_scalar(out, v, 1);
    buf_putc(out, '\n');
}
