/* Images from a registry that the test plays, over plain HTTP: logins, tokens, platforms, transfers that break, and
 * registries that mean harm. */
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
    unsigned cuts;   /* so many transfers of the layer break in the middle */
    unsigned layers; /* in the manifest; 0 = 1 */
};
struct server {
    pthread_t thread;
    int fd;
    uint16_t port;
    struct ways ways;
    char manifest[1 << 16], list[2048], config[1 << 16];
    char manifest_hex[IMAGE_HEX_SIZE], config_hex[IMAGE_HEX_SIZE], layer_hex[IMAGE_HEX_SIZE], list_hex[IMAGE_HEX_SIZE];
    char layer[LAYER_BYTES];
    unsigned layer_requests, ranges, tokens, unknown_logins;
    bool stop;
};

/* ---- The registry ---- */

static void send_all(int fd, const void *p, size_t n)
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

static void reply(int fd, const char *status, const char *headers, const void *body, size_t n)
{
    CLEANUP_FREE char *head =
        xasprintf("HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status, headers, n);
    send_all(fd, head, strlen(head));
    send_all(fd, body, n);
}

static void reply_endless(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    char chunk[4096];
    memset(chunk, ' ', sizeof chunk);
    send_all(fd, head, sizeof head - 1);
    for (unsigned i = 0; i < 4096; i++) { /* 16 MiB, if it is let */
        if (send(fd, chunk, sizeof chunk, MSG_NOSIGNAL) <= 0) {
            return;
        }
    }
}

static void reply_layer(struct server *s, int fd, const char *request)
{
    const char *range = strstr(request, "Range: bytes=");
    size_t from = range == NULL || s->ways.no_range ? 0 : strtoul(range + 13, NULL, 10);
    size_t n = LAYER_BYTES - from;
    s->layer_requests++;
    s->ranges += range != NULL;
    if (s->ways.endless_layer) {
        reply_endless(fd);
        return;
    }
    CLEANUP_FREE char *head =
        xasprintf("HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %zu\r\n%s%zu-%u/%u\r\n\r\n",
                  from > 0 ? "206 Partial Content" : "200 OK", n,
                  from > 0 ? "Content-Range: bytes " : "X-Whole: ", from, LAYER_BYTES - 1, LAYER_BYTES);
    send_all(fd, head, strlen(head));
    if (s->ways.cuts > 0) {
        s->ways.cuts--;
        n /= 2;
    }
    send_all(fd, s->layer + from, n);
}

static bool lets_in(struct server *s, int fd, const char *request)
{
    char challenge[300];
    bool basic = strstr(request, "Authorization: Basic YW5uOnNlY3JldA==") != NULL; /* ann:secret */
    bool token = strstr(request, "Authorization: Bearer abc.def") != NULL;
    s->unknown_logins += !basic && strstr(request, "Authorization: Basic") != NULL;
    if (strncmp(request, "GET /token?", 11) == 0) {
        bool right = strstr(request, "service=reg") != NULL && strstr(request, "scope=repository") != NULL && basic;
        s->tokens++;
        reply(fd, right ? "200 OK" : "401 Unauthorized", "", "{\"token\":\"abc.def\"}", 19);
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

static void serve(struct server *s, int fd, const char *request)
{
    char path[300] = "";
    sscanf(request, "GET %299s", path);
    if (!lets_in(s, fd, request)) {
        return;
    }
    if (s->ways.errors) {
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

static void *run(void *data)
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

static void hex_of(const void *p, size_t n, char hex[IMAGE_HEX_SIZE])
{
    image_sha256(p, n, hex);
}

static void make_image(struct server *s)
{
    CLEANUP_BUF struct buf layers = BUF_INIT, diffs = BUF_INIT;
    unsigned count = s->ways.layers == 0 ? 1 : s->ways.layers;
    for (unsigned i = 0; i < LAYER_BYTES; i++) {
        s->layer[i] = (char)(i * 7 >> 3);
    }
    hex_of(s->layer, LAYER_BYTES, s->layer_hex);
    for (unsigned i = 0; i < count; i++) {
        buf_printf(&layers, "%s{\"digest\":\"sha256:%s\",\"size\":%u}", i == 0 ? "" : ",", s->layer_hex, LAYER_BYTES);
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

static struct server *server_new(struct ways ways)
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

static void server_free(struct server *s)
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
};

static int fetch_version(struct server *s, const char *version, bool with_login, struct fetched *f)
{
    char ref[200];
    memset(f, 0, sizeof *f);
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
                                                   .cancel = &f->cancel},
                          &f->error);
}

static void done(struct fetched *f)
{
    fs_remove_tree(f->dir, NULL);
}

/* The layout is whole: what it names is there, byte by byte. */
static void expect_layout(const struct server *s, const struct fetched *f)
{
    const struct {
        const char *hex;
        const void *bytes;
        size_t n;
    } blobs[] = {{s->manifest_hex, s->manifest, strlen(s->manifest)},
                 {s->config_hex, s->config, strlen(s->config)},
                 {s->layer_hex, s->layer, LAYER_BYTES}};
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

static void expect_fetched(struct ways ways, const char *version, bool with_login)
{
    struct fetched f;
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

static void expect_error(struct ways ways, bool with_login, int code, const char *words)
{
    struct fetched f;
    struct server *s = server_new(ways);
    assert_int_equal(fetch_version(s, ":latest", with_login, &f), code);
    if (strstr(f.error.message, words) == NULL) {
        fail_msg("%s", f.error.message);
    }
    assert_null(strstr(f.error.message, "secret"));
    done(&f);
    server_free(s);
}

static void an_image_becomes_a_layout(void **state)
{
    (void)state;
    expect_fetched((struct ways){0}, ":latest", false);
    expect_fetched((struct ways){0}, NULL, false);
    expect_fetched((struct ways){.nested = true}, ":latest", false);
}

static void who_asks_is_told_to_the_registry_that_wants_to_know(void **state)
{
    (void)state;
    expect_fetched((struct ways){.basic = true}, ":latest", true);
    expect_fetched((struct ways){.token = true}, ":latest", true);
    expect_error((struct ways){.basic = true}, false, ERR_UNAUTHORIZED, "no login is known");
    expect_error((struct ways){.token = true}, false, ERR_UNAUTHORIZED, "no login is known");
}

static void a_transfer_that_breaks_goes_on_where_it_was(void **state)
{
    (void)state;
    struct fetched f;
    struct server *s = server_new((struct ways){.cuts = 2});
    assert_int_equal(fetch_version(s, ":latest", false, &f), 0);
    expect_layout(s, &f);
    assert_int_equal(s->layer_requests, 3);
    assert_int_equal(s->ranges, 2);
    done(&f);
    server_free(s);
    expect_fetched((struct ways){.cuts = 2, .no_range = true}, ":latest", false); /* from the start again */
    expect_error((struct ways){.cuts = 9}, false, ERR_CLOSED, "");
}

static void layers_that_are_named_twice_come_once(void **state)
{
    (void)state;
    struct fetched f;
    struct server *s = server_new((struct ways){.layers = 5});
    assert_int_equal(fetch_version(s, ":latest", false, &f), 0);
    assert_int_equal(s->layer_requests, 1);
    done(&f);
    server_free(s);
}

static void other_bytes_than_the_digest_says_are_refused(void **state)
{
    (void)state;
    struct fetched f;
    expect_error((struct ways){.wrong_layer = true}, false, ERR_CORRUPT, "other bytes");
    expect_error((struct ways){.wrong_config = true}, false, ERR_CORRUPT, "another config");
    struct server *s = server_new((struct ways){0});
    CLEANUP_FREE char *version = xasprintf("@sha256:%064d", 0);
    assert_int_equal(fetch_version(s, version, false, &f), ERR_CORRUPT);
    done(&f);
    server_free(s);
}

static void what_has_no_end_is_cut(void **state)
{
    (void)state;
    expect_error((struct ways){.endless_manifest = true}, false, ERR_TOO_LARGE, "more of image lib/x:latest");
    expect_error((struct ways){.endless_layer = true}, false, ERR_TOO_LARGE, "more of a layer");
    expect_error((struct ways){.redirects = true}, false, ERR_CLOSED, "redirects");
    expect_error((struct ways){.layers = 200}, false, ERR_PROTOCOL, "200 layers");
}

static void what_is_not_there_or_cannot_be_read_is_said(void **state)
{
    (void)state;
    struct fetched f;
    struct server *s = server_new((struct ways){0});
    assert_int_equal(fetch_version(s, ":other", false, &f), ERR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "has no image lib/x:other"));
    done(&f);
    server_free(s);
    expect_error((struct ways){.no_platform = true}, false, ERR_NOT_FOUND, "for linux/");
    expect_error((struct ways){.broken_json = true}, false, ERR_PROTOCOL, "cannot be read");
    expect_error((struct ways){.errors = true}, false, ERR_CLOSED, "answers 503");
}

static void nobody_there_is_told_apart(void **state)
{
    (void)state;
    struct fetched f;
    struct server *s = server_new((struct ways){0});
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    assert_int_equal(fetch_version(s, ":latest", false, &f), ERR_CLOSED);
    done(&f);
    free(s);
}

static void only_hosts_of_the_configuration_are_asked(void **state)
{
    (void)state;
    char path[] = "/tmp/reeve-registries-XXXXXX";
    struct registry_config c;
    struct error err = {0};
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    static const struct {
        const char *text, *words; /* NULL: it is right */
    } rows[] = {{"registries: [{host: a.example}, {host: 'b:5', insecure: true, mirrors: ['https://m:1']}]", NULL},
                {"registries: [{host: '*'}]", NULL},
                {"", NULL},
                {"registries: 7", "a list"},
                {"registries: [{}]", "registries[0].host"},
                {"registries: [{host: a/b}]", "registries[0].host"},
                {"registries: [{host: a, mirror: x}]", "registries[0].mirror: unknown"},
                {"registries: [{host: a, mirrors: ['ftp://x']}]", "registries[0].mirrors"},
                {"registries: [{host: a, mirrors: 'https://m:1'}]", "registries[0].mirrors: a list"},
                {"registries: [{host: a, insecure: maybe}]", "registries[0].insecure: true or false"},
                {"registries: [{host: a}]\ncredentialFile: /etc/x", "credentialFile: unknown"},
                {"registries: [{host: a, mirrors: ['https://u:p@x']}]", "registries[0].mirrors"},
                {"credentialsFile: /nowhere/at/all", "/nowhere/at/all"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(fs_write_file(path, str_of(rows[i].text), 0600, false, NULL), 0);
        int rc = registry_config_read(path, &c, &err);
        assert_int_equal(rc == 0, rows[i].words == NULL);
        if (rows[i].words != NULL && strstr(err.message, rows[i].words) == NULL) {
            fail_msg("%s", err.message);
        }
        if (i == 0) {
            assert_true(registry_host_of(&c, STR("b:5"))->insecure);
            assert_null(registry_host_of(&c, STR("c")));
        } else if (i == 1) {
            assert_non_null(registry_host_of(&c, STR("docker.io")));
        }
        if (rc == 0) {
            registry_config_close(&c);
        }
    }
    unlink(path);
    assert_int_equal(registry_config_read(path, &c, &err), 0); /* no file: no registries */
    assert_null(registry_host_of(&c, STR("docker.io")));
    registry_config_close(&c);
}

static void logins_are_read_as_docker_writes_them(void **state)
{
    (void)state;
    static const char json[] = "{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"YW5uOnNlYzpyZXQ=\"},"
                               "\"r.example:5000\":{\"username\":\"bob\",\"password\":\"pw\"},\"helped.example\":{}}}";
    struct registry_login *list = NULL;
    unsigned count = 0;
    struct error err = {0};
    assert_int_equal(registry_logins_read(STR(json), false, &list, &count, &err), 0);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].host, "docker.io");
    assert_string_equal(list[0].user, "ann");
    assert_string_equal(list[0].password, "sec:ret");
    assert_string_equal(list[1].host, "r.example:5000");
    static const char legacy[] = "{\"r.example\":{\"auth\":\"YW5uOnNlY3JldA==\"}}";
    assert_int_equal(registry_logins_read(STR(legacy), true, &list, &count, &err), 0);
    assert_int_equal(count, 3);
    static const char *const bad[] = {"", "[]", "{\"auths\":{\"a\":{\"auth\":\"topsecret\"}}}",
                                      "{\"auths\":{\"a\":{\"auth\":\"OnNlY3JldA==\"}}}"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(registry_logins_read(str_of(bad[i]), false, &list, &count, &err), ERR_INVALID);
        assert_null(strstr(err.message, "secret"));
    }
    registry_logins_free(list, count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_image_becomes_a_layout),
        cmocka_unit_test(who_asks_is_told_to_the_registry_that_wants_to_know),
        cmocka_unit_test(a_transfer_that_breaks_goes_on_where_it_was),
        cmocka_unit_test(layers_that_are_named_twice_come_once),
        cmocka_unit_test(other_bytes_than_the_digest_says_are_refused),
        cmocka_unit_test(what_has_no_end_is_cut),
        cmocka_unit_test(what_is_not_there_or_cannot_be_read_is_said),
        cmocka_unit_test(nobody_there_is_told_apart),
        cmocka_unit_test(only_hosts_of_the_configuration_are_asked),
        cmocka_unit_test(logins_are_read_as_docker_writes_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
