/* HTTPS by hand: no certificate, one request a connection. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "tests/unit/kit/master_kit.h"

static SSL *connect_to(struct kit *k, unsigned master, SSL_CTX *ctx)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = KIT_WAIT_MS / 1000};
    a.sin_port = htons((uint16_t)atoi(strchr(k->masters[master].addr, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    return ssl;
}

int kit_https(struct kit *k, unsigned master, const char *token, const char *request, const char *body, char **answer)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = connect_to(k, master, ctx);
    CLEANUP_BUF struct buf out = BUF_INIT, in = BUF_INIT;
    char part[4096];
    int n, fd = SSL_get_fd(ssl), status = 0;
    buf_printf(&out, "%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\n", request, token);
    if (body != NULL) {
        buf_printf(&out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
    }
    buf_printf(&out, "\r\n%s", body == NULL ? "" : body);
    assert_int_equal(SSL_write(ssl, out.data, (int)out.size), (int)out.size);
    while ((n = SSL_read(ssl, part, sizeof part)) > 0) {
        buf_append(&in, part, (size_t)n);
    }
    assert_int_equal(sscanf(buf_cstr(&in), "HTTP/1.1 %d", &status), 1);
    if (answer != NULL) {
        *answer = arena_strdup(&k->arena, buf_cstr(&in));
    }
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return status;
}
