#include "agent/util/resolvconf.h"

void resolvconf_init(struct resolvconf *r)
{
    r->servers = (struct resolvconf_words){.max = RESOLVCONF_SERVERS_MAX};
    r->searches = (struct resolvconf_words){.max = RESOLVCONF_SEARCHES_MAX};
    r->options = (struct resolvconf_words){.max = RESOLVCONF_OPTIONS_MAX};
}

static struct str option_name(struct str s)
{
    const char *colon = s.n == 0 ? NULL : memchr(s.p, ':', s.n);
    return (struct str){s.p, colon == NULL ? s.n : (size_t)(colon - s.p)};
}

void resolvconf_add(struct resolvconf_words *w, struct str word)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (str_eq(w->list[i], word)) {
            return;
        }
    }
    if (w->count < w->max) {
        w->list[w->count++] = word;
    }
}

void resolvconf_add_option(struct resolvconf_words *w, struct str word)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (str_eq(option_name(w->list[i]), option_name(word))) {
            w->list[i] = word;
            return;
        }
    }
    resolvconf_add(w, word);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool next_word(struct str *line, struct str *word)
{
    while (line->n > 0 && is_blank(line->p[0])) {
        line->p++;
        line->n--;
    }
    size_t n = 0;
    while (n < line->n && !is_blank(line->p[n])) {
        n++;
    }
    *word = (struct str){line->p, n};
    line->p += n;
    line->n -= n;
    return n > 0;
}

static void read_line(struct resolvconf *r, struct str line)
{
    struct str word;
    if (!next_word(&line, &word)) {
        return;
    }
    bool domain = str_is(word, "search") || str_is(word, "domain"), options = str_is(word, "options");
    if (!domain && !options && !str_is(word, "nameserver")) {
        return;
    }
    r->searches.count = domain ? 0 : r->searches.count;
    while (next_word(&line, &word)) {
        if (options) {
            resolvconf_add_option(&r->options, word);
        } else {
            resolvconf_add(domain ? &r->searches : &r->servers, word);
        }
    }
}

void resolvconf_read(struct resolvconf *r, struct str text)
{
    while (text.n > 0) {
        const char *newline = memchr(text.p, '\n', text.n);
        struct str line = {text.p, newline == NULL ? text.n : (size_t)(newline - text.p)};
        text.p += line.n + (newline != NULL);
        text.n -= line.n + (newline != NULL);
        read_line(r, line);
    }
}

bool resolvconf_is_stub(const struct resolvconf *r)
{
    return r->servers.count == 1 && str_is(r->servers.list[0], "127.0.0.53");
}
