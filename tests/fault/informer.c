/*   list --> watch behind its version --> events, marks --> ends, or is cut --> watch behind the last version,
 *   elsewhere
 *     ^                                        |
 *     +------- 410, or told to begin anew -----+
 *
 * A version is what the last event, mark or list said; nobody compares it. A list that begins anew because of a 410
 * asks for nothing older than what was told, and after another 410 for the newest. */
#include "tests/fault/informer.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "proto/text/text.h"
#include "tests/fault/kit.h"

#define RETRY_MS    100
#define CONNECT_MS  2000
#define REQUEST_MS  15000 /* of a list */
#define SILENT_MS   3000  /* as watchers: a stream that says nothing for so long may be cut off */
#define CUT_MIN_MS  200   /* of one's own; up to ten times as long */
#define KILL_ONE_IN 12u   /* cuts */
#define BODY_MAX    (16u << 20)
#define SELECTED    "/api/v1/namespaces/default/configmaps?labelSelector=set%%3D%s"

struct informer {
    struct watcher *w;
    struct rng rng;
    CURL *curl;
    struct curl_slist *headers;
    unsigned server;
    char version[32]; /* "": begin with a list */
    char told[32];    /* the newest that was ever told, for a list behind a 410 */
    bool listing;     /* a stream that is still at what is there */
    bool expired, expired_again, failed;
    struct buf in;     /* a list's body, or what has come of a line */
    struct buf listed; /* of struct watched */
    int64_t heard_us, cut_us;
};

static bool must_stop(const struct informer *f)
{
    return __atomic_load_n(&f->w->stop, __ATOMIC_ACQUIRE) || __atomic_load_n(&f->w->complete, __ATOMIC_ACQUIRE);
}

/* What no server may say. */
static void wrong(struct informer *f, const char *what, struct str text)
{
    if (f->w->wrong[0] == '\0') {
        snprintf(f->w->wrong, sizeof f->w->wrong, "%s: %.*s", what, (int)MIN(text.n, (size_t)150),
                 text.n == 0 ? "" : text.p);
    }
    f->failed = true;
}

static void put_text(char *to, size_t size, struct str s)
{
    snprintf(to, size, "%.*s", STR_ARG(s));
}

static uint64_t version_of(struct str s)
{
    int64_t n = 0;
    return str_to_int64(s, &n) ? (uint64_t)n : 0;
}

/* ---- The copy ---- */

static void hold(struct buf *held, struct str name, int64_t number, bool gone)
{
    struct watched one = {.number = number}, *all = (struct watched *)(void *)held->data;
    size_t count = held->size / sizeof one;
    put_text(one.name, sizeof one.name, name);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(all[i].name, one.name) == 0) {
            all[i] = gone ? all[count - 1] : one;
            held->size -= gone ? sizeof one : 0;
            return;
        }
    }
    if (!gone) {
        buf_append(held, &one, sizeof one);
    }
}

static int64_t number_of(const struct value *object)
{
    char text[32];
    put_text(text, sizeof text, value_path_str(object, "data.v"));
    return strtoll(text, NULL, 10);
}

static void reached(struct informer *f, struct str name)
{
    if (str_is(name, f->w->last)) {
        __atomic_store_n(&f->w->complete, true, __ATOMIC_RELEASE);
    }
}

/* All of it has been told: the copy is this from now on. */
static void list_is_told(struct informer *f, struct str version)
{
    put_text(f->version, sizeof f->version, version);
    put_text(f->told, sizeof f->told, version);
    size_t op = hist_told(&f->w->hist, f->w->process, HIST_LIST, version_of(str_of(f->version)), fault_now_us());
    const struct watched *l = (const void *)f->listed.data;
    buf_reset(&f->w->held);
    buf_append(&f->w->held, f->listed.data, f->listed.size);
    for (size_t i = 0; i < f->listed.size / sizeof *l; i++) {
        hist_step_put(&f->w->hist, op, l[i].name, (struct hist_value){.there = true, .number = l[i].number});
        reached(f, str_of(l[i].name));
    }
    f->listing = f->expired_again = false;
    buf_reset(&f->listed);
    __atomic_store_n(&f->w->synced, true, __ATOMIC_RELEASE);
}

static void event_is_told(struct informer *f, bool gone, const struct value *object)
{
    struct str name = value_path_str(object, "metadata.name");
    char *key = xstrndup(name.p, name.n);
    size_t op = hist_told(&f->w->hist, f->w->process, HIST_EVENT, version_of(str_of(f->version)), fault_now_us());
    if (gone) {
        hist_step_delete(&f->w->hist, op, key);
    } else {
        hist_step_put(&f->w->hist, op, key, (struct hist_value){.there = true, .number = number_of(object)});
    }
    hold(&f->w->held, name, number_of(object), gone);
    reached(f, name);
    free(key);
}

/* ---- Streams ---- */

static void mark_is_told(struct informer *f, const struct value *object, struct str version)
{
    const struct value *notes = value_path(object, "metadata.annotations");
    bool first = str_is(value_to_str(value_get(notes, "k8s.io/initial-events-end")), "true");
    if (first != f->listing) {
        wrong(f, "a mark that does not fit", version);
    } else if (f->listing) {
        list_is_told(f, version);
    } else if (version_of(version) < version_of(str_of(f->version))) {
        wrong(f, "a mark behind what was told", version);
    } else {
        put_text(f->version, sizeof f->version, version);
    }
}

static void line_is_told(struct informer *f, struct str line)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc = NULL;
    arena_init(&a);
    if (json_read(&a, line, &doc, NULL) != 0) {
        wrong(f, "no JSON", line);
        return;
    }
    struct str type = value_path_str(doc, "type"), version = value_path_str(doc, "object.metadata.resourceVersion");
    const struct value *object = value_get(doc, "object");
    if (str_is(type, "ERROR")) {
        const struct value *code = value_get(object, "code");
        f->failed = true;
        f->expired = code != NULL && code->type == VALUE_INT && code->integer == 410;
    } else if (version.n == 0) {
        wrong(f, "an event without a version", line);
    } else if (str_is(type, "BOOKMARK")) {
        mark_is_told(f, object, version);
    } else if (f->listing && str_is(type, "ADDED")) {
        hold(&f->listed, value_path_str(object, "metadata.name"), number_of(object), false);
    } else if (f->listing) {
        wrong(f, "a change before the first mark", line);
    } else {
        put_text(f->version, sizeof f->version, version);
        put_text(f->told, sizeof f->told, version);
        event_is_told(f, str_is(type, "DELETED"), object);
    }
}

static long status_of(struct informer *f)
{
    long code = 0;
    curl_easy_getinfo(f->curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *data)
{
    struct informer *f = data;
    f->heard_us = fault_now_us();
    if (f->in.size + size * n > BODY_MAX) {
        return 0;
    }
    buf_append(&f->in, p, size * n);
    return size * n;
}

static size_t on_line_bytes(char *p, size_t size, size_t n, void *data)
{
    struct informer *f = data;
    if (status_of(f) != 200) {
        return on_bytes(p, size, n, data);
    }
    for (const char *at = p, *end = p + size * n, *stop; at < end; at = stop) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        stop = line == NULL ? end : line + 1;
        buf_append(&f->in, at, (size_t)(stop - at));
        if (line != NULL) {
            line_is_told(f, buf_str(&f->in));
            buf_reset(&f->in);
        }
    }
    f->heard_us = fault_now_us();
    return f->failed || must_stop(f) ? 0 : size * n;
}

/* Again and again while a request is on the way: not 0 ends it. */
static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct informer *f = data;
    int64_t now_us = fault_now_us();
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return must_stop(f) || now_us - f->heard_us > SILENT_MS * 1000 || (f->cut_us != 0 && now_us > f->cut_us);
}

/* ---- Requests ---- */

static void use(struct informer *f, CURLoption option, const char *pem)
{
    struct curl_blob blob = {(void *)(uintptr_t)pem, strlen(pem), CURL_BLOB_COPY};
    if (curl_easy_setopt(f->curl, option, &blob) != CURLE_OK) {
        fault_die("informer's certificate", NULL);
    }
}

/* The status; 0: there was none. f->in has the body. */
static long request(struct informer *f, const char *path, curl_write_callback bytes, int64_t timeout_ms)
{
    char url[1024];
    const struct config_target *t = f->w->target;
    snprintf(url, sizeof url, "https://%s%s", t->servers[(f->w->index + f->server) % t->servers_count], path);
    buf_reset(&f->in);
    f->heard_us = fault_now_us();
    f->failed = f->expired = false;
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, bytes);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    CURLcode rc = curl_easy_perform(f->curl);
    long code = status_of(f);
    if (rc == CURLE_PEER_FAILED_VERIFICATION) {
        wrong(f, "the master's certificate", str_of(curl_easy_strerror(rc)));
    }
    /* Asking again may help, or a list anew; anything else says that the question was wrong. */
    if (code != 0 && code != 200 && code != 410 && code != 429 && code < 500) {
        wrong(f, path, buf_str(&f->in));
    }
    f->expired |= code == 410;
    return rc == CURLE_OK || code != 200 || bytes != on_bytes ? code : 0;
}

static void expired(struct informer *f)
{
    f->expired_again = f->version[0] == '\0' && f->told[0] != '\0';
    f->version[0] = '\0';
    f->w->relisted++;
}

/* All pages. */
static void list(struct informer *f)
{
    CLEANUP_ARENA struct arena a;
    char token[600] = "";
    arena_init(&a);
    buf_reset(&f->listed);
    f->cut_us = 0;
    for (;;) {
        char path[1024];
        const char *from = !f->w->synced ? "0" : f->expired_again ? "" : f->told;
        snprintf(path, sizeof path, SELECTED "&limit=5%s%s", f->w->label,
                 token[0] != '\0'  ? "&continue="
                 : from[0] != '\0' ? "&resourceVersion="
                                   : "",
                 token[0] != '\0' ? token : from);
        struct value *doc = NULL;
        if (request(f, path, on_bytes, REQUEST_MS) != 200) {
            if (f->expired) {
                expired(f);
            }
            return;
        }
        if (json_read(&a, buf_str(&f->in), &doc, NULL) != 0) {
            wrong(f, "no JSON", buf_str(&f->in));
            return;
        }
        const struct value *items = value_get(doc, "items");
        VALUE_FOR(i, items)
        {
            const struct value *o = value_item(items, i);
            hold(&f->listed, value_path_str(o, "metadata.name"), number_of(o), false);
        }
        struct str more = value_path_str(doc, "metadata.continue");
        if (more.n == 0) {
            list_is_told(f, value_path_str(doc, "metadata.resourceVersion"));
            return;
        }
        char *safe = curl_easy_escape(f->curl, more.p, (int)more.n);
        snprintf(token, sizeof token, "%s", safe);
        curl_free(safe);
    }
}

static void watch(struct informer *f)
{
    char path[1024];
    int64_t now_us = fault_now_us();
    f->listing = f->version[0] == '\0';
    f->cut_us = now_us + (CUT_MIN_MS + (int64_t)rng_below(&f->rng, 9 * CUT_MIN_MS)) * 1000;
    buf_reset(&f->listed);
    if (!f->listing) {
        hist_told(&f->w->hist, f->w->process, HIST_RESUME, version_of(str_of(f->version)), now_us);
    }
    snprintf(
        path, sizeof path, SELECTED "&watch=true&allowWatchBookmarks=true&timeoutSeconds=%u%s%s", f->w->label,
        1 + (unsigned)rng_below(&f->rng, 8),
        f->listing ? "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan" : "&resourceVersion=", f->version);
    request(f, path, on_line_bytes, 60000);
    if (f->expired) {
        expired(f);
    } else {
        f->w->resumed++;
    }
}

void *informer_follow(void *arg)
{
    struct informer f = {.w = arg};
    const struct config_target *t = f.w->target;
    f.rng.state = 7919 + f.w->index;
    f.curl = curl_easy_init();
    f.headers = curl_slist_append(NULL, "Accept: application/json");
    curl_easy_setopt(f.curl, CURLOPT_HTTPHEADER, f.headers);
    curl_easy_setopt(f.curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f.curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(f.curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(f.curl, CURLOPT_WRITEDATA, &f);
    curl_easy_setopt(f.curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(f.curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(f.curl, CURLOPT_XFERINFODATA, &f);
    use(&f, CURLOPT_CAINFO_BLOB, t->ca_pem);
    use(&f, CURLOPT_SSLCERT_BLOB, t->cert_pem);
    use(&f, CURLOPT_SSLKEY_BLOB, t->key_pem);
    while (!must_stop(&f)) {
        if (f.version[0] == '\0' && f.w->index % 2 == 0) {
            list(&f);
        } else {
            watch(&f);
        }
        /* Killed: the next one knows nothing. Not while nobody answers, or all of them would begin anew at once, and
         * nobody be told of what was written meanwhile. */
        if (status_of(&f) == 200 && rng_below(&f.rng, KILL_ONE_IN) == 0 && f.w->synced) {
            f.version[0] = f.told[0] = '\0';
            f.w->killed++;
        }
        f.server++;
        if (status_of(&f) != 200) {
            fault_sleep_ms(RETRY_MS);
        }
    }
    curl_slist_free_all(f.headers);
    curl_easy_cleanup(f.curl);
    buf_close(&f.in);
    buf_close(&f.listed);
    return NULL;
}
