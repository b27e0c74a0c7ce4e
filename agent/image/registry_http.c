#include "agent/image/registry_http.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "agent/image/image_int.h"
#include "proto/text/text.h"

#define POLL_MS 200 /* how late a cancel is seen at most */

static void begin_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

int registry_session_open(struct registry_session *s, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin_curl);
    s->multi = curl_multi_init();
    return s->multi != NULL ? 0 : error_set(err, ERR_SYSTEM, "no memory for a transfer");
}

static void drop_token(struct registry_session *s)
{
    if (s->token != NULL) {
        mem_wipe(s->token, strlen(s->token));
        free(s->token);
        s->token = NULL;
    }
}

void registry_session_close(struct registry_session *s)
{
    drop_token(s);
    if (s->multi != NULL) {
        curl_multi_cleanup(s->multi);
    }
}

/* ---- Bytes that come ---- */

static void start_over(struct registry_transfer *t)
{
    if (t->memory != NULL) {
        buf_reset(t->memory);
    } else {
        t->failed = lseek(t->fd, 0, SEEK_SET) != 0 || ftruncate(t->fd, 0) != 0 ? ERR_IO : 0;
        t->failed_errno = errno;
        EVP_DigestInit_ex(t->md, EVP_sha256(), NULL);
    }
    if (t->session->done_bytes != NULL) {
        atomic_fetch_sub(t->session->done_bytes, t->counted);
    }
    t->at = t->counted = 0;
}

static bool write_file(struct registry_transfer *t, const char *p, size_t n)
{
    EVP_DigestUpdate(t->md, p, n);
    while (n > 0) {
        ssize_t put = write(t->fd, p, n);
        if (put < 0 && errno != EINTR) {
            t->failed = ERR_IO;
            t->failed_errno = errno;
            return false;
        }
        p += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static size_t on_bytes(char *p, size_t one, size_t count, void *data)
{
    struct registry_transfer *t = data;
    size_t n = one * count;
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206) { /* words about an error */
        t->words_bytes += n;
        t->cut = t->words_bytes > REGISTRY_WORDS_MAX;
        return t->cut ? 0 : n;
    }
    if (status == 200 && t->status != 200 && t->at > 0) {
        start_over(t); /* it does not go on where it was asked to */
    }
    t->status = status;
    uint64_t most = t->memory != NULL ? t->memory_max : t->size_bytes;
    if (t->failed == 0 && n > most - t->at) {
        t->failed = ERR_TOO_LARGE;
    }
    if (t->failed != 0) {
        return 0;
    }
    if (t->memory != NULL) {
        buf_append(t->memory, p, n);
    } else if (!write_file(t, p, n)) {
        return 0;
    } else if (t->session->done_bytes != NULL) {
        atomic_fetch_add(t->session->done_bytes, n);
        t->counted += n;
    }
    t->at += n;
    return n;
}

static size_t on_header(char *p, size_t one, size_t count, void *data)
{
    static const char name[] = "www-authenticate:";
    struct registry_transfer *t = data;
    size_t n = one * count, lead = sizeof name - 1;
    t->headers_bytes += n;
    if (t->headers_bytes > REGISTRY_HEADERS_MAX) {
        t->failed = ERR_TOO_LARGE;
        return 0;
    }
    if (n > 5 && strncasecmp(p, "HTTP/", 5) == 0) {
        t->challenge.scheme = REGISTRY_SCHEME_NONE; /* of an answer that redirects */
    }
    if (n > lead && strncasecmp(p, name, lead) == 0 && t->challenge.scheme == REGISTRY_SCHEME_NONE) {
        registry_challenge_read((struct str){p + lead, n - lead}, &t->challenge);
    }
    return n;
}

static int on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct registry_transfer *t = data;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(t->session->cancel) ? 1 : 0;
}

/* ---- One request ---- */

static void end_request(struct registry_transfer *t)
{
    if (t->easy != NULL) {
        curl_multi_remove_handle(t->session->multi, t->easy);
        curl_easy_cleanup(t->easy);
        t->easy = NULL;
    }
    curl_slist_free_all(t->headers);
    t->headers = NULL;
}

static void set_common(CURL *c, const struct registry_session *s)
{
    const char *schemes = s->how->insecure ? "http,https" : "https";
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, schemes);
    curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, schemes);
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, REGISTRY_CONNECT_S);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, s->patience_s);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "reeve-agent");
    if (s->how->ca_file != NULL) {
        curl_easy_setopt(c, CURLOPT_CAINFO, s->how->ca_file);
    }
    if (s->how->insecure) {
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* libcurl keeps logins and tokens to the host that they are for, also when that one redirects. */
static void set_login(CURL *c, const struct registry_session *s, bool basic)
{
    if (basic && s->login != NULL) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c, CURLOPT_USERNAME, s->login->user);
        curl_easy_setopt(c, CURLOPT_PASSWORD, s->login->password);
    } else if (!basic && s->token != NULL) {
        curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt(c, CURLOPT_XOAUTH2_BEARER, s->token);
    }
}

static int begin_request(struct registry_transfer *t, const char *url, bool with_login, struct error *err)
{
    struct registry_session *s = t->session;
    char line[400];
    CURL *c = t->easy = curl_easy_init();
    if (c == NULL) {
        return error_set(err, ERR_SYSTEM, "no memory for a transfer");
    }
    t->status = 0;
    t->challenge = (struct registry_challenge){0};
    t->headers_bytes = t->words_bytes = 0;
    t->cut = false;
    t->why[0] = '\0';
    set_common(c, s);
    if (t->memory != NULL) {
        curl_easy_setopt(c, CURLOPT_TIMEOUT, REGISTRY_SMALL_S);
    }
    set_login(c, s, with_login || s->basic);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->why);
    curl_easy_setopt(c, CURLOPT_PRIVATE, t);
    if (t->accept != NULL) {
        snprintf(line, sizeof line, "Accept: %s", t->accept);
        t->headers = curl_slist_append(NULL, line);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
    }
    if (t->at > 0) {
        snprintf(line, sizeof line, "%llu-", (unsigned long long)t->at);
        curl_easy_setopt(c, CURLOPT_RANGE, line); /* libcurl's own resuming fails where the whole comes instead */
    }
    curl_multi_add_handle(s->multi, c);
    return 0;
}

static int begin_transfer(struct registry_transfer *t, struct error *err)
{
    CLEANUP_FREE char *url = xasprintf("%s%s", t->session->base, t->path);
    if (t->memory == NULL && t->md == NULL) {
        t->md = EVP_MD_CTX_new();
        EVP_DigestInit_ex(t->md, EVP_sha256(), NULL);
    }
    t->tries++;
    return begin_request(t, url, false, err);
}

/* ---- Who asks ---- */

static int not_let_in(const struct registry_session *s, struct error *err)
{
    return error_set(err, ERR_UNAUTHORIZED, "the registry %s does not let %s be pulled%s", s->host, s->name,
                     s->login == NULL ? ": no login is known for it (imagePullSecrets, or the node's credentialsFile)"
                                      : " with this login");
}

static int ask_token(struct registry_session *s, const char *url, struct buf *body, struct error *err)
{
    struct registry_transfer t = {.session = s, .memory = body, .memory_max = 64u << 10};
    CURLcode done = CURLE_OK;
    int rc = begin_request(&t, url, true, err);
    if (rc == 0) {
        curl_multi_remove_handle(s->multi, t.easy);
        done = curl_easy_perform(t.easy);
        curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &t.status);
    }
    if (rc == 0 && (t.cut || (done == CURLE_OK && t.status != 200))) {
        rc = not_let_in(s, err);
    } else if (rc == 0 && done != CURLE_OK) {
        rc = error_set(err, t.failed == ERR_TOO_LARGE ? ERR_TOO_LARGE : ERR_CLOSED, "the registry %s: no token: %s",
                       s->host, t.why[0] != '\0' ? t.why : curl_easy_strerror(done));
    }
    end_request(&t);
    return rc;
}

static int get_token(struct registry_session *s, const struct registry_challenge *challenge, struct error *err)
{
    CLEANUP_FREE char *url = registry_token_url(challenge, s->name);
    struct buf body = BUF_INIT;
    drop_token(s);
    if (url == NULL) {
        return error_set(err, ERR_PROTOCOL, "the registry %s asks for a login that is not understood", s->host);
    }
    int rc = ask_token(s, url, &body, err);
    if (rc == 0 && registry_token_read(buf_str(&body), &s->token, err) != 0) {
        rc = error_wrap(err, "the registry %s", s->host);
    }
    buf_wipe(&body);
    buf_close(&body);
    return rc;
}

/* It wants to know who asks: 0, and the request is to be repeated. */
static int answer_challenge(struct registry_transfer *t, struct error *err)
{
    struct registry_session *s = t->session;
    if (t->has_asked) {
        return not_let_in(s, err);
    }
    t->has_asked = true;
    if (t->challenge.scheme == REGISTRY_SCHEME_BEARER) {
        return get_token(s, &t->challenge, err);
    }
    if (t->challenge.scheme == REGISTRY_SCHEME_BASIC && s->login != NULL) {
        s->basic = true;
        return 0;
    }
    return not_let_in(s, err);
}

/* ---- How it ended ---- */

static int check_file(const struct registry_transfer *t, struct error *err)
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    char hex[IMAGE_HEX_SIZE] = "";
    unsigned n = 0;
    EVP_DigestFinal_ex(t->md, bytes, &n);
    for (unsigned i = 0; i < n && i < 32; i++) {
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
    if (t->at != t->size_bytes || strcmp(hex, t->hex) != 0) {
        return error_set(err, ERR_CORRUPT, "the registry %s sent other bytes than sha256:%.12s... says",
                         t->session->host, t->hex);
    }
    return 0;
}

static int failed_here(const struct registry_transfer *t, const char *what, struct error *err)
{
    if (t->failed == ERR_TOO_LARGE) {
        return error_set(err, ERR_TOO_LARGE, "the registry %s sends more of %s than it said, or than is allowed",
                         t->session->host, what);
    }
    return error_set_errno(err, t->failed_errno, "cannot write %s", what);
}

static int bad_status(const struct registry_transfer *t, long status, const char *what, struct error *err)
{
    const struct registry_session *s = t->session;
    if (status == 404) {
        return error_set(err, ERR_NOT_FOUND, "the registry %s has no %s", s->host, what);
    }
    if (status == 401 || status == 403) {
        return not_let_in(s, err);
    }
    if (status == 429) {
        return error_set(err, ERR_BUSY, "the registry %s asks to come again later (429)", s->host);
    }
    return error_set(err, status >= 500 ? ERR_CLOSED : ERR_PROTOCOL, "the registry %s answers %ld for %s", s->host,
                     status, what);
}

static bool may_repeat(const struct registry_transfer *t, CURLcode done, long status)
{
    bool broke = done == CURLE_PARTIAL_FILE || done == CURLE_RECV_ERROR || done == CURLE_SEND_ERROR ||
                 done == CURLE_OPERATION_TIMEDOUT || done == CURLE_GOT_NOTHING || done == CURLE_HTTP2_STREAM;
    return t->failed == 0 && t->tries < REGISTRY_TRIES && (broke || (done == CURLE_OK && status >= 500));
}

/* *again: the same once more. */
static int ended(struct registry_transfer *t, CURLcode done, const char *what, bool *again, struct error *err)
{
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    *again = false;
    if (atomic_load(t->session->cancel)) {
        return error_set(err, ERR_CANCELED, "pulling was cancelled");
    }
    if (t->failed != 0) {
        return failed_here(t, what, err);
    }
    done = t->cut ? CURLE_OK : done;
    if (done == CURLE_OK && status == 401) {
        t->tries--;
        *again = true;
        return answer_challenge(t, err);
    }
    if (t->at >= t->broke_at + REGISTRY_PROGRESS) {
        t->tries = 1;
    }
    if (may_repeat(t, done, status)) {
        if (t->memory != NULL) {
            start_over(t);
        }
        t->broke_at = t->at;
        t->has_asked = false; /* the token may have run out meanwhile */
        *again = true;
        return 0;
    }
    if (done == CURLE_SSL_CONNECT_ERROR && t->session->how->insecure &&
        str_starts(str_of(t->session->base), STR("https:"))) {
        memmove(t->session->base + 4, t->session->base + 5, strlen(t->session->base + 5) + 1); /* http: */
        *again = true;
        return 0;
    }
    if (done != CURLE_OK) {
        return error_set(err, ERR_CLOSED, "the registry %s: %s", t->session->host,
                         t->why[0] != '\0' ? t->why : curl_easy_strerror(done));
    }
    if (status != 200 && status != 206) {
        return bad_status(t, status, what, err);
    }
    return t->memory == NULL ? check_file(t, err) : 0;
}

/* ---- Several ---- */

/* Of the handle that the multi says has ended. *begun: one of them goes on. */
static int take_ended(struct registry_session *s, unsigned *running, bool *begun, const char *what, struct error *err)
{
    int left = 0, rc = 0;
    for (CURLMsg *m; rc == 0 && (m = curl_multi_info_read(s->multi, &left)) != NULL;) {
        struct registry_transfer *t = NULL;
        CURLcode done = m->data.result;
        bool again = false;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&t);
        rc = ended(t, done, what, &again, err);
        end_request(t);
        (*running)--;
        if (rc == 0 && again) {
            rc = begin_transfer(t, err);
            (*running)++;
            *begun = true;
        }
    }
    return rc;
}

int registry_transfer_all(struct registry_session *s, struct registry_transfer *list, unsigned count, unsigned parallel,
                          const char *what, struct error *err)
{
    unsigned begun = 0, running = 0;
    int rc = 0;
    while (rc == 0 && (begun < count || running > 0)) {
        while (rc == 0 && begun < count && running < parallel) {
            list[begun].session = s;
            rc = begin_transfer(&list[begun++], err);
            running++;
        }
        int going = 0;
        unsigned before = running;
        bool again = false;
        if (rc == 0 && curl_multi_perform(s->multi, &going) != CURLM_OK) {
            rc = error_set(err, ERR_SYSTEM, "transfers cannot go on");
        }
        rc = rc != 0 ? rc : take_ended(s, &running, &again, what, err);
        if (rc == 0 && running == before && !again &&
            curl_multi_poll(s->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK) { /* nothing ended: there is time */
            rc = error_set(err, ERR_SYSTEM, "transfers cannot go on");
        }
        if (rc == 0 && atomic_load(s->cancel)) {
            rc = error_set(err, ERR_CANCELED, "pulling was cancelled");
        }
    }
    for (unsigned i = 0; i < begun; i++) {
        end_request(&list[i]);
        EVP_MD_CTX_free(list[i].md);
        list[i].md = NULL;
    }
    return rc;
}
