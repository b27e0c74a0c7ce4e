/*   list --> watch behind its version --> events, marks --> ends, or is cut --> watch behind the last version,
 *   elsewhere
 *     ^                                        |
 *     +------- 410, or told to begin anew -----+
 *
 * A version is what the last event, mark or list said; nobody compares it, but for the judge (copy.c). A list that
 * begins anew because of a 410 asks for nothing older than what was told, and after another 410 for the newest. */
#include "tests/fault/informer.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "proto/text/text.h"
#include "tests/fault/copy.h"
#include "tests/fault/kit.h"

#define RETRY_MS         100
#define CONNECT_MS       2000
#define REQUEST_MS       15000 /* of a list */
#define SILENT_MS        3000  /* as watchers: a stream that says nothing for so long may be cut off */
#define CUT_MIN_MS       200   /* of one's own; up to ten times as long */
#define KILL_ONE_IN      6u    /* cuts */
#define PAGE_MOVE_ONE_IN 8u    /* a page is asked of another master than the one before, who may say 410 */
#define BODY_MAX         (16u << 20)
#define SELECTED         "/api/v1/namespaces/default/configmaps?labelSelector=set%%3D%s"

struct informer {
    struct watcher *w;
    struct copy copy;
    struct rng rng;
    CURL *curl;
    struct curl_slist *headers;
    unsigned server;
    bool expired, expired_again;
    struct buf in; /* a list's body, or what has come of a line */
    int64_t heard_us, cut_us;
};

static bool must_stop(const struct informer *f)
{
    return __atomic_load_n(&f->w->stop, __ATOMIC_ACQUIRE) || __atomic_load_n(&f->w->complete, __ATOMIC_ACQUIRE);
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
            copy_line(&f->copy, buf_str(&f->in));
            buf_reset(&f->in);
        }
    }
    f->heard_us = fault_now_us();
    return f->copy.failed || must_stop(f) ? 0 : size * n;
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
    f->copy.failed = f->copy.expired = false;
    curl_easy_setopt(f->curl, CURLOPT_URL, url);
    curl_easy_setopt(f->curl, CURLOPT_WRITEFUNCTION, bytes);
    curl_easy_setopt(f->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    CURLcode rc = curl_easy_perform(f->curl);
    long code = status_of(f);
    if (rc == CURLE_PEER_FAILED_VERIFICATION) {
        copy_wrong(&f->copy, "the master's certificate", str_of(curl_easy_strerror(rc)));
    }
    /* Asking again may help, or a list anew; anything else says that the question was wrong. */
    if (code != 0 && code != 200 && code != 410 && code != 429 && code < 500) {
        copy_wrong(&f->copy, path, buf_str(&f->in));
    }
    f->expired = code == 410 || f->copy.expired;
    return rc == CURLE_OK || code != 200 || bytes != on_bytes ? code : 0;
}

static void expired(struct informer *f)
{
    f->expired_again = f->copy.version[0] == '\0' && f->copy.told[0] != '\0';
    f->copy.version[0] = '\0';
}

/* All pages. */
static void list(struct informer *f)
{
    CLEANUP_ARENA struct arena a;
    char token[600] = "";
    arena_init(&a);
    copy_begin(&f->copy);
    f->cut_us = 0;
    for (;;) {
        char path[1024];
        const char *from = !f->w->synced ? "0" : f->expired_again ? "" : f->copy.told;
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
            copy_wrong(&f->copy, "no JSON", buf_str(&f->in));
            return;
        }
        copy_page(&f->copy, value_get(doc, "items"));
        struct str more = value_path_str(doc, "metadata.continue");
        if (more.n == 0) {
            copy_listed(&f->copy, value_path_str(doc, "metadata.resourceVersion"));
            f->expired_again = false;
            return;
        }
        char *safe = curl_easy_escape(f->curl, more.p, (int)more.n);
        snprintf(token, sizeof token, "%s", safe);
        curl_free(safe);
        f->server += rng_below(&f->rng, PAGE_MOVE_ONE_IN) == 0;
    }
}

/* Half of the streams are ended by their master after a second, with a mark; the others are cut. */
static void watch(struct informer *f)
{
    char path[1024];
    int64_t now_us = fault_now_us();
    bool whole = rng_below(&f->rng, 2) == 0;
    f->copy.listing = f->copy.version[0] == '\0';
    f->cut_us = whole ? 0 : now_us + (CUT_MIN_MS + (int64_t)rng_below(&f->rng, 9 * CUT_MIN_MS)) * 1000;
    copy_begin(&f->copy);
    if (!f->copy.listing) {
        hist_told(&f->w->hist, f->w->process, HIST_RESUME, copy_version(&f->copy), now_us);
    }
    snprintf(path, sizeof path, SELECTED "&watch=true&allowWatchBookmarks=true&timeoutSeconds=%u%s%s", f->w->label,
             whole ? 1 : 1 + (unsigned)rng_below(&f->rng, 8),
             f->copy.listing ? "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan" : "&resourceVersion=",
             f->copy.version);
    request(f, path, on_line_bytes, 60000);
    if (f->expired) {
        f->w->relisted++;
        expired(f);
    } else {
        f->w->resumed++;
    }
}

void *informer_follow(void *arg)
{
    struct informer f = {.w = arg, .copy = {.w = arg}};
    const struct config_target *t = f.w->target;
    f.rng.state = f.w->seed;
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
        if (f.copy.version[0] == '\0' && f.w->index % 2 == 0) {
            list(&f);
        } else {
            watch(&f);
        }
        /* Killed: the next one knows nothing. Not while nobody answers, or all of them would begin anew at once, and
         * nobody be told of what was written meanwhile. */
        if (status_of(&f) == 200 && rng_below(&f.rng, KILL_ONE_IN) == 0 && f.w->synced) {
            copy_forget(&f.copy);
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
    copy_close(&f.copy);
    return NULL;
}
