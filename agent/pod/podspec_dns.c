/* resolv.conf of a pod, and names of kernel settings. */
#include "agent/pod/podspec.h"

#include <stdio.h>

/* The resolver's own limits: resolv.conf(5), and the kubelet's for domains. */
#define SERVERS_MAX  3u
#define SEARCHES_MAX 32u
#define OPTIONS_MAX  32u

struct words {
    struct str list[SEARCHES_MAX];
    unsigned count, max;
};

static size_t option_name(struct str s)
{
    const char *colon = s.n == 0 ? NULL : memchr(s.p, ':', s.n);
    return colon == NULL ? s.n : (size_t)(colon - s.p);
}

/* as_option: one of the same name is replaced. */
static void add(struct words *w, struct str s, bool as_option)
{
    for (unsigned i = 0; i < w->count; i++) {
        struct str *have = &w->list[i];
        if (str_eq(*have, s)) {
            return;
        }
        if (as_option && str_eq((struct str){have->p, option_name(*have)}, (struct str){s.p, option_name(s)})) {
            *have = s;
            return;
        }
    }
    if (w->count < w->max) {
        w->list[w->count++] = s;
    }
}

static void add_all(struct words *w, const char *const *list, bool as_option)
{
    for (; list != NULL && *list != NULL; list++) {
        add(w, str_of(*list), as_option);
    }
}

static bool next_word(struct str *line, struct str *word)
{
    while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\t' || line->p[0] == '\r')) {
        line->p++;
        line->n--;
    }
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ' && line->p[n] != '\t' && line->p[n] != '\r') {
        n++;
    }
    *word = (struct str){line->p, n};
    line->p += n;
    line->n -= n;
    return n > 0;
}

/* "The last search or domain line counts." */
static void read_node(struct str text, struct words *servers, struct words *searches, struct words *options)
{
    while (text.n > 0) {
        const char *newline = memchr(text.p, '\n', text.n);
        struct str line = {text.p, newline == NULL ? text.n : (size_t)(newline - text.p)}, word;
        text.p += line.n + (newline != NULL);
        text.n -= line.n + (newline != NULL);
        if (!next_word(&line, &word)) {
            continue;
        }
        bool domain = str_is(word, "search") || str_is(word, "domain");
        struct words *to = str_is(word, "nameserver") ? servers : str_is(word, "options") ? options : searches;
        if (to == searches && !domain) {
            continue;
        }
        searches->count = domain ? 0 : searches->count;
        while (next_word(&line, &word)) {
            add(to, word, to == options);
        }
    }
}

const char *podspec_resolv_conf(const struct podspec *s, struct str node_conf, struct arena *a)
{
    struct words servers = {.max = SERVERS_MAX}, searches = {.max = SEARCHES_MAX}, options = {.max = OPTIONS_MAX};
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (!s->dns_none && s->dns_servers == NULL && s->dns_searches == NULL && s->dns_options == NULL) {
        return NULL;
    }
    if (!s->dns_none) {
        read_node(node_conf, &servers, &searches, &options);
    }
    add_all(&servers, s->dns_servers, false);
    add_all(&searches, s->dns_searches, false);
    add_all(&options, s->dns_options, true);
    for (unsigned i = 0; i < servers.count; i++) {
        buf_printf(&b, "nameserver %.*s\n", STR_ARG(servers.list[i]));
    }
    const struct {
        const char *lead;
        const struct words *words;
    } lines[] = {{"search", &searches}, {"options", &options}};
    for (size_t k = 0; k < ARRAY_SIZE(lines); k++) {
        for (unsigned i = 0; i < lines[k].words->count; i++) {
            buf_printf(&b, "%s %.*s", i == 0 ? lines[k].lead : "", STR_ARG(lines[k].words->list[i]));
        }
        buf_puts(&b, lines[k].words->count > 0 ? "\n" : "");
    }
    return arena_strndup(a, buf_cstr(&b), b.size);
}

const char *podspec_sysctl_name(struct arena *a, struct str name)
{
    char *out = arena_strndup(a, name.p == NULL ? "" : name.p, name.n);
    const char *first = strpbrk(out, "./");
    bool slashes = first != NULL && *first == '/';
    for (char *c = out; slashes && *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c == '.' ? '/' : *c;
    }
    return out;
}
