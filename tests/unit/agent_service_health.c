/* What a balancer hears when it asks a node for pods of a Service. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/service/health.h"
#include "base/env.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 60000

struct fixture {
    uv_loop_t loop;
    struct health *health;
    bool works, closed;
    uint16_t port;
    char said[4096];
};

static bool works(void *data)
{
    return ((struct fixture *)data)->works;
}

static void on_closed(void *data)
{
    ((struct fixture *)data)->closed = true;
}

static struct sockaddr_in address_of(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
}

/* A listener of our own; *port 0: any. */
static int take_port(uint16_t *port)
{
    struct sockaddr_in at = address_of(*port);
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    f->works = true;
    f->health = health_new(
        &(struct health_config){.loop = &f->loop, .ip = INADDR_LOOPBACK, .works = works, .data = f, .retry_ms = 1});
    close(take_port(&f->port));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    health_close(f->health, on_closed, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(f->closed);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f);
    return 0;
}

static int dial(struct fixture *f)
{
    struct sockaddr_in at = address_of(f->port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* All that is said until the other side ends. */
static const char *hear(struct fixture *f, int fd)
{
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    size_t got = 0;
    for (;;) {
        ssize_t n = recv(fd, f->said + got, sizeof f->said - 1 - got, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) {
            f->said[got] = '\0';
            return f->said;
        }
        got += n > 0 ? (size_t)n : 0;
        uv_run(&f->loop, UV_RUN_NOWAIT);
        assert_true(env_now_ms(env_real()) < until);
    }
}

static const char *ask(struct fixture *f, const char *request)
{
    int fd = dial(f);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    const char *said = hear(f, fd);
    close(fd);
    return said;
}

#define GET "GET / HTTP/1.1\r\nHost: node\r\n\r\n"

static void a_node_with_ready_pods_says_how_many(void **state)
{
    struct fixture *f = *state;
    health_set(f->health, "shop/web", f->port, 2);
    assert_string_equal(ask(f, GET),
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
                        "X-Load-Balancing-Endpoint-Weight: 2\r\nContent-Length: 111\r\nConnection: close\r\n\r\n"
                        "{\n\t\"service\": {\n\t\t\"namespace\": \"shop\",\n\t\t\"name\": \"web\"\n\t},\n"
                        "\t\"localEndpoints\": 2,\n\t\"serviceProxyHealthy\": true\n}");
}

static void without_pods_or_without_a_dataplane_it_is_no_place_to_go(void **state)
{
    struct fixture *f = *state;
    health_set(f->health, "shop/web", f->port, 0);
    assert_non_null(strstr(ask(f, GET), "503 Service Unavailable"));
    assert_non_null(strstr(f->said, "\"localEndpoints\": 0"));
    health_set(f->health, "shop/web", f->port, 1);
    assert_non_null(strstr(ask(f, "HEAD /healthz HTTP/1.0\n\nmore than was asked for"), "200 OK"));
    f->works = false;
    assert_non_null(strstr(ask(f, GET), "503 Service Unavailable"));
    assert_non_null(strstr(f->said, "\"serviceProxyHealthy\": false"));
}

static void a_port_is_there_as_long_as_its_service_has_it(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(dial(f), -1);
    health_set(f->health, "shop/web", f->port, 1);
    assert_non_null(strstr(ask(f, GET), "200 OK"));
    uint16_t before = f->port;
    f->port = 0;
    close(take_port(&f->port));
    health_set(f->health, "shop/web", f->port, 1);
    assert_non_null(strstr(ask(f, GET), "200 OK"));
    uint16_t now = f->port;
    f->port = before;
    assert_int_equal(dial(f), -1);
    f->port = now;
    health_set(f->health, "shop/web", 0, 0);
    assert_int_equal(dial(f), -1);
}

static void ports_move_with_the_nodes_address(void **state)
{
    struct fixture *f = *state;
    health_set(f->health, "shop/web", f->port, 1);
    health_set_ip(f->health, INADDR_LOOPBACK + 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_int_equal(dial(f), -1);
    health_set_ip(f->health, 0);
    health_set_ip(f->health, INADDR_LOOPBACK);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_non_null(strstr(ask(f, GET), "200 OK"));
}

static void on_tick(uv_timer_t *t)
{
    (void)t;
}

static void a_port_that_somebody_else_has_is_taken_when_it_is_free(void **state)
{
    struct fixture *f = *state;
    uv_timer_t tick; /* a turn ends also when the port was taken at its beginning and nothing else is to come */
    uv_timer_init(&f->loop, &tick);
    uv_timer_start(&tick, on_tick, 10, 10);
    int other = take_port(&f->port);
    health_set(f->health, "shop/web", f->port, 1);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    close(other);
    int64_t until = env_now_ms(env_real()) + DEADLINE_MS;
    int fd = -1;
    while ((fd = dial(f)) < 0) {
        uv_run(&f->loop, UV_RUN_ONCE);
        assert_true(env_now_ms(env_real()) < until);
    }
    close(fd);
    uv_close((uv_handle_t *)&tick, NULL);
    uv_run(&f->loop, UV_RUN_NOWAIT);
    assert_non_null(strstr(ask(f, GET), "200 OK"));
}

static void who_says_nothing_or_too_much_gives_way(void **state)
{
    struct fixture *f = *state;
    static char much[HEALTH_REQUEST_MAX + 1];
    int silent[HEALTH_CONNECTIONS_MAX];
    health_set(f->health, "shop/web", f->port, 1);
    for (unsigned i = 0; i < HEALTH_CONNECTIONS_MAX; i++) {
        silent[i] = dial(f);
        assert_true(silent[i] >= 0);
        uv_run(&f->loop, UV_RUN_NOWAIT);
    }
    assert_non_null(strstr(ask(f, GET), "200 OK"));
    assert_string_equal(hear(f, silent[0]), ""); /* the oldest */
    for (unsigned i = 0; i < HEALTH_CONNECTIONS_MAX; i++) {
        close(silent[i]);
    }
    memset(much, 'x', sizeof much - 1);
    assert_string_equal(ask(f, much), "");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_node_with_ready_pods_says_how_many),
        T(without_pods_or_without_a_dataplane_it_is_no_place_to_go),
        T(ports_move_with_the_nodes_address),
        T(a_port_is_there_as_long_as_its_service_has_it),
        T(a_port_that_somebody_else_has_is_taken_when_it_is_free),
        T(who_says_nothing_or_too_much_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
