/* A registry that the tests play, over plain HTTP: what it has, what it asks for, what it does wrong; and fetching from
 * it. */
#ifndef TESTS_UNIT_AGENT_REGISTRY_KIT_H
#define TESTS_UNIT_AGENT_REGISTRY_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/image/image_int.h"
#include "agent/image/registry.h"
#include "agent/util/fsutil.h"
#include "base/machine.h"
#include "proto/text/text.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAYER_BYTES 100000u

/* What it does wrong, or asks for. */
struct ways {
    bool basic, token, wrong_layer, wrong_config, wrong_manifest, endless_manifest, endless_layer, redirects, no_range,
        nested, no_platform, broken_json, errors;
    bool stalls;          /* the layer stops in the middle, and the connection stays */
    bool stalls_manifest; /* likewise */
    bool endless_words;   /* an error with a text that has no end */
    bool endless_headers;
    bool wrong_login;         /* whoever asks: it is another one */
    bool claims_much;         /* the manifest says that the layer has terabytes */
    unsigned cuts;            /* so many transfers of the layer break in the middle */
    unsigned layers;          /* in the manifest; 0 = 1 */
    const char *location;     /* layers are elsewhere: a redirect to there */
    const char *challenge;    /* instead of the usual one: what stands behind WWW-Authenticate: */
    const char *token_answer; /* likewise */
    const char *manifest;     /* instead of the usual one */
    const void *layer;        /* likewise: a real one, uncompressed */
    size_t layer_bytes;
};
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    struct ways ways;
    char manifest[1 << 16], list[2048], config[1 << 16];
    char manifest_hex[IMAGE_HEX_SIZE], config_hex[IMAGE_HEX_SIZE], layer_hex[IMAGE_HEX_SIZE], list_hex[IMAGE_HEX_SIZE];
    char layer[LAYER_BYTES];
    size_t layer_bytes;
    char last_token_request[600];
    unsigned logins; /* requests with any login or token */
    unsigned layer_requests, ranges, tokens, unknown_logins;
    bool stop;
};

/* ---- The registry ---- */

static inline void send_all(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t put = send(fd, at, n, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        at += put;
        n -= (size_t)put;
    }
}

static inline void reply(int fd, const char *status, const char *headers, const void *body, size_t n)
{
    CLEANUP_FREE char *head =
        xasprintf("HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status, headers, n);
    send_all(fd, head, strlen(head));
    send_all(fd, body, n);
}

/* Nothing more comes from us, until the other side has enough. */
static inline void wait_for_end(int fd)
{
    char byte;
    while (recv(fd, &byte, 1, 0) > 0) {
    }
}

static inline void reply_endless_headers(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n";
    char line[1024];
    memset(line, 'x', sizeof line);
    memcpy(line, "X-More: ", 8);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    send_all(fd, head, sizeof head - 1);
    for (unsigned i = 0; i < 4096; i++) {
        if (send(fd, line, sizeof line, MSG_NOSIGNAL) <= 0) {
            return;
        }
    }
}

static inline void reply_endless_as(int fd, const char *status)
{
    CLEANUP_FREE char *head = xasprintf("HTTP/1.1 %s\r\nConnection: close\r\n\r\n", status);
    char chunk[4096];
    memset(chunk, ' ', sizeof chunk);
    send_all(fd, head, strlen(head));
    for (unsigned i = 0; i < 4096; i++) { /* 16 MiB, if it is let */
        if (send(fd, chunk, sizeof chunk, MSG_NOSIGNAL) <= 0) {
            return;
        }
    }
}

static inline void reply_endless(int fd)
{
    reply_endless_as(fd, "200 OK");
}

static inline void reply_layer(struct server *s, int fd, const char *request)
{
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range == NULL || s->ways.no_range ? 0 : strtoul(range + 13, NULL, 10);
    size_t n = s->layer_bytes - from;
    s->layer_requests++;
    s->ranges += range != NULL;
    if (s->ways.endless_layer) {
        reply_endless(fd);
        return;
    }
    if (s->ways.location != NULL) {
        CLEANUP_FREE char *to = xasprintf("Location: %s\r\n", s->ways.location);
        reply(fd, "307 Temporary Redirect", to, "", 0);
        return;
    }
    CLEANUP_FREE char *head =
        xasprintf("HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n%s%zu-%zu/%zu\r\n\r\n",
                  from > 0 ? "206 Partial Content" : "200 OK", n,
                  from > 0 ? "Content-Range: bytes " : "X-Whole: ", from, s->layer_bytes - 1, s->layer_bytes);
    send_all(fd, head, strlen(head));
    if (s->ways.stalls) {
        send_all(fd, s->layer + from, MIN(n / 2, (size_t)500));
        wait_for_end(fd);
        return;
    }
    if (s->ways.cuts > 0) {
        s->ways.cuts--;
        n /= 2;
    }
    send_all(fd, s->layer + from, n);
}

static inline bool lets_in(struct server *s, int fd, const char *request)
{
    char challenge[300];
    bool basic = strstr(request, "Authorization: Basic YW5uOnNlY3JldA==") != NULL; /* ann:secret */
    bool token = strstr(request, "Authorization: Bearer abc.def") != NULL;
    s->unknown_logins += !basic && strstr(request, "Authorization: Basic") != NULL;
    if (strncmp(request, "GET /token?", 11) == 0) {
        snprintf(s->last_token_request, sizeof s->last_token_request, "%.*s", (int)strcspn(request, "\r"), request);
        if (s->ways.token_answer != NULL) {
            reply(fd, "200 OK", "", s->ways.token_answer, strlen(s->ways.token_answer));
            return false;
        }
        bool right = strstr(request, "service=reg") != NULL && strstr(request, "scope=repository") != NULL && basic;
        s->tokens++;
        reply(fd, right ? "200 OK" : "401 Unauthorized", "", "{\"token\":\"abc.def\"}", 19);
        return false;
    }
    s->logins += strstr(request, "Authorization:") != NULL;
    if (s->ways.challenge != NULL && !token && !basic) {
        CLEANUP_FREE char *header = xasprintf("WWW-Authenticate: %s\r\n", s->ways.challenge);
        reply(fd, "401 Unauthorized", header, "{}", 2);
        return false;
    }
    if (s->ways.wrong_login) {
        reply(fd, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "{}", 2);
        return false;
    }
    if ((s->ways.basic && !basic) || (s->ways.token && !token)) {
        snprintf(challenge, sizeof challenge,
                 s->ways.basic ? "WWW-Authenticate: Basic realm=\"x\"\r\n"
                               : "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:%u/token\",service=\"reg\","
                                 "scope=\"repository:lib/x:pull\"\r\n",
                 s->port);
        reply(fd, "401 Unauthorized", challenge, "{}", 2);
        return false;
    }
    return true;
}

static inline void serve(struct server *s, int fd, const char *request)
{
    char path[300] = "";
    sscanf(request, "GET %299s", path);
    if (!lets_in(s, fd, request)) {
        return;
    }
    if (s->ways.endless_words) {
        reply_endless_as(fd, "403 Forbidden");
    } else if (s->ways.endless_headers) {
        reply_endless_headers(fd);
    } else if (s->ways.stalls_manifest) {
        static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{";
        send_all(fd, head, sizeof head - 1);
        wait_for_end(fd);
    } else if (s->ways.manifest != NULL && strstr(path, "/manifests/") != NULL) {
        reply(fd, "200 OK", "", s->ways.manifest, strlen(s->ways.manifest));
    } else if (s->ways.errors) {
        reply(fd, "503 Service Unavailable", "", "x", 1);
    } else if (s->ways.redirects) {
        CLEANUP_FREE char *to = xasprintf("Location: http://127.0.0.1:%u%s\r\n", s->port, path);
        reply(fd, "307 Temporary Redirect", to, "", 0);
    } else if (strstr(path, "/manifests/") != NULL && s->ways.endless_manifest) {
        reply_endless(fd);
    } else if (strstr(path, "/manifests/latest") != NULL && (s->ways.nested || s->ways.no_platform)) {
        reply(fd, "200 OK", "", s->list, strlen(s->list));
    } else if (strcmp(path, "/v2/lib/x/manifests/latest") == 0 || strstr(path, s->manifest_hex) != NULL ||
               strstr(path, "0000") != NULL) {
        reply(fd, "200 OK", "", s->manifest, strlen(s->manifest) - (s->ways.broken_json ? 1 : 0));
    } else if (strstr(path, s->config_hex) != NULL) {
        s->config[5] ^= s->ways.wrong_config ? 1 : 0;
        reply(fd, "200 OK", "", s->config, strlen(s->config));
    } else if (strstr(path, s->layer_hex) != NULL) {
        reply_layer(s, fd, request);
    } else {
        reply(fd, "404 Not Found", "", "{}", 2);
    }
}

static inline void *run(void *data)
{
    struct server *s = data;
    for (int fd; (fd = accept(s->fd, NULL, NULL)) >= 0;) {
        char request[8192];
        size_t n = 0;
        for (ssize_t got; n < sizeof request - 1 && (got = recv(fd, request + n, sizeof request - 1 - n, 0)) > 0;) {
            n += (size_t)got;
            request[n] = '\0';
            if (request[0] != 'G' || strstr(request, "\r\n\r\n") != NULL) {
                break; /* a handshake of TLS is none of ours */
            }
        }
        request[n] = '\0';
        if (n > 0 && request[0] == 'G') {
            serve(s, fd, request);
        }
        close(fd);
    }
    return NULL;
}

/* ---- Its image ---- */

static inline void hex_of(const void *p, size_t n, char hex[IMAGE_HEX_SIZE])
{
    image_sha256(p, n, hex);
}

static inline void make_image(struct server *s)
{
    CLEANUP_BUF struct buf layers = BUF_INIT, diffs = BUF_INIT;
    unsigned count = s->ways.layers == 0 ? 1 : s->ways.layers;
    s->layer_bytes = s->ways.layer == NULL ? LAYER_BYTES : s->ways.layer_bytes;
    assert_true(s->layer_bytes <= LAYER_BYTES);
    for (unsigned i = 0; i < LAYER_BYTES; i++) {
        s->layer[i] = (char)(i * 7 >> 3);
    }
    if (s->ways.layer != NULL) {
        memcpy(s->layer, s->ways.layer, s->layer_bytes);
    }
    hex_of(s->layer, s->layer_bytes, s->layer_hex);
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&layers, "%s{\"digest\":\"sha256:%s\",\"size\":%zu}", i == 0 ? "" : ",", s->layer_hex,
                   s->ways.claims_much ? (size_t)8 << 30 : s->layer_bytes);
        buf_printf(&diffs, "%s\"sha256:%s\"", i == 0 ? "" : ",", s->layer_hex);
    }
    snprintf(s->config, sizeof s->config, "{\"config\":{},\"rootfs\":{\"diff_ids\":[%s]}}", buf_cstr(&diffs));
    hex_of(s->config, strlen(s->config), s->config_hex);
    snprintf(s->manifest, sizeof s->manifest,
             "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%s\",\"size\":%zu},\"layers\":[%s]}", s->config_hex,
             strlen(s->config), buf_cstr(&layers));
    hex_of(s->manifest, strlen(s->manifest), s->manifest_hex);
    snprintf(s->list, sizeof s->list,
             "{\"manifests\":[{\"digest\":\"sha256:%064d\",\"platform\":{\"os\":\"linux\",\"architecture\":\"vax\"}},"
             "{\"digest\":\"sha256:%s\",\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}]}",
             0, s->manifest_hex, s->ways.no_platform ? "pdp11" : machine_arch());
    hex_of(s->list, strlen(s->list), s->list_hex);
    s->layer[1000] ^= s->ways.wrong_layer ? 1 : 0;
}

static inline struct server *server_new(struct ways ways)
{
    struct server *s = xcalloc(1, sizeof *s);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    s->ways = ways;
    make_image(s);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(s->fd, 64), 0);
    getsockname(s->fd, (struct sockaddr *)&at, &size);
    s->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&s->thread, NULL, run, s), 0);
    return s;
}

static inline void server_free(struct server *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    free(s);
}

/* ---- Fetching ---- */

struct fetched {
    char dir[64], host[32];
    struct registry_host hosts[1];
    struct registry_config config;
    struct registry_login login;
    struct error error;
    atomic_bool cancel;
    unsigned patience_s; /* 0 = the usual */
};

static inline int fetch_version(struct server *s, const char *version, bool with_login, struct fetched *f)
{
    char ref[200];
    *f = (struct fetched){.patience_s = f->patience_s};
    snprintf(f->dir, sizeof f->dir, "/tmp/reeve-registry-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->host, sizeof f->host, "127.0.0.1:%u", s->port);
    snprintf(ref, sizeof ref, "%s/lib/x%s", f->host, version);
    f->hosts[0] = (struct registry_host){.name = f->host, .insecure = true};
    f->config = (struct registry_config){.hosts = f->hosts, .hosts_count = 1};
    char user[] = "ann", password[] = "secret";
    f->login = (struct registry_login){f->host, user, password};
    return registry_fetch(&(struct registry_fetch){.ref = ref,
                                                   .dir = f->dir,
                                                   .config = &f->config,
                                                   .logins = &f->login,
                                                   .logins_count = with_login,
                                                   .patience_s = f->patience_s,
                                                   .cancel = &f->cancel},
                          &f->error);
}

static inline void done(struct fetched *f)
{
    fs_remove_tree(f->dir, NULL);
}

/* The layout is whole: what it names is there, byte by byte. */
static inline void expect_layout(const struct server *s, const struct fetched *f)
{
    const struct {
        const char *hex;
        const void *bytes;
        size_t n;
    } blobs[] = {{s->manifest_hex, s->manifest, strlen(s->manifest)},
                 {s->config_hex, s->config, strlen(s->config)},
                 {s->layer_hex, s->layer, s->layer_bytes}};
    for (size_t i = 0; i < ARRAY_SIZE(blobs); i++) {
        CLEANUP_FREE char *path = xasprintf("%s/blobs/sha256/%s", f->dir, blobs[i].hex);
        CLEANUP_BUF struct buf b = BUF_INIT;
        assert_int_equal(fs_read_file(path, 1 << 20, &b, NULL), 0);
        assert_int_equal(b.size, blobs[i].n);
        assert_memory_equal(b.data, blobs[i].bytes, b.size);
    }
    CLEANUP_FREE char *index = xasprintf("%s/index.json", f->dir);
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(index, 1 << 20, &b, NULL), 0);
    assert_non_null(strstr(buf_cstr(&b), s->manifest_hex));
}

static inline void expect_fetched(struct ways ways, const char *version, bool with_login)
{
    struct fetched f = {0};
    struct server *s = server_new(ways);
    CLEANUP_FREE char *by_digest = xasprintf("@sha256:%s", s->manifest_hex);
    int rc = fetch_version(s, version == NULL ? by_digest : version, with_login, &f);
    if (rc != 0) {
        fail_msg("%s", f.error.message);
    }
    expect_layout(s, &f);
    done(&f);
    server_free(s);
}

static inline void expect_error(struct ways ways, bool with_login, int code, const char *words)
{
    struct fetched f = {0};
    struct server *s = server_new(ways);
    assert_int_equal(fetch_version(s, ":latest", with_login, &f), code);
    if (strstr(f.error.message, words) == NULL) {
        fail_msg("%s", f.error.message);
    }
    assert_null(strstr(f.error.message, "secret"));
    done(&f);
    server_free(s);
}

#endif
