/* What a resolver makes of the cluster's names: built with glibc and with musl (tests/e2e/e2e.mk).
 *
 *   resolve addresses NAME      IPv4 addresses, sorted, one a line, of getaddrinfo
 *   resolve both NAME           the same, asked for IPv4 and IPv6 at once, as most programs do
 *   resolve host ADDRESS        the name of an address, of getnameinfo
 *   resolve ask TYPE NAME       one question (A, AAAA, SRV, TXT) without the search path: "CODE ANSWERS", and of
 *                               each SRV record "PORT TARGET"
 * Exits with 1 and says "error TEXT" if the resolver finds nothing. */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES_MAX 1000

static int by_number(const void *x, const void *y)
{
    uint32_t a = ntohl(*(const uint32_t *)x), b = ntohl(*(const uint32_t *)y);
    return a < b ? -1 : a > b;
}

static int addresses(const char *name, int family)
{
    struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM}, *list = NULL;
    static uint32_t found[ADDRESSES_MAX];
    size_t n = 0;
    int rc = getaddrinfo(name, NULL, &hints, &list);
    if (rc != 0) {
        printf("error %s\n", gai_strerror(rc));
        return 1;
    }
    for (struct addrinfo *i = list; i != NULL && n < ADDRESSES_MAX; i = i->ai_next) {
        if (i->ai_family == AF_INET) {
            found[n++] = ((struct sockaddr_in *)(void *)i->ai_addr)->sin_addr.s_addr;
        } else {
            puts("an address of IPv6");
        }
    }
    qsort(found, n, sizeof(found[0]), by_number);
    for (size_t i = 0; i < n; i++) {
        puts(inet_ntoa((struct in_addr){found[i]}));
    }
    freeaddrinfo(list);
    return 0;
}

static int host(const char *address)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    char name[NI_MAXHOST];
    inet_pton(AF_INET, address, &sa.sin_addr);
    int rc = getnameinfo((struct sockaddr *)&sa, sizeof(sa), name, sizeof(name), NULL, 0, NI_NAMEREQD);
    if (rc != 0) {
        printf("error %s\n", gai_strerror(rc));
        return 1;
    }
    puts(name);
    return 0;
}

static unsigned number(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Port and target of each SRV record among the answers, which begin at p. */
static void print_records(const unsigned char *message, const unsigned char *end, const unsigned char *p,
                          unsigned answers)
{
    char target[NS_MAXDNAME];
    for (unsigned i = 0; i < answers; i++) {
        int n = dn_expand(message, end, p, target, sizeof(target));
        p += n;
        if (n < 0 || end - p < 10) {
            return;
        }
        unsigned type = number(p), size = number(p + 8);
        p += 10;
        if (type == 33 && size > 6 && dn_expand(message, end, p + 6, target, sizeof(target)) > 0) {
            printf("%u %s\n", number(p + 4), target);
        }
        p += size;
    }
}

static int ask(const char *type_name, const char *name)
{
    static const struct {
        const char *name;
        int type;
    } types[] = {{"A", 1}, {"AAAA", 28}, {"SRV", 33}, {"TXT", 16}};
    unsigned char question[1024], answer[65536];
    char skipped[NS_MAXDNAME];
    int type = 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        type = strcmp(types[i].name, type_name) == 0 ? types[i].type : type;
    }
    res_init();
    int n = res_mkquery(0, name, 1, type, NULL, 0, NULL, question, sizeof(question));
    n = n < 0 ? n : res_send(question, n, answer, sizeof(answer));
    if (n < 12) {
        puts("error no answer");
        return 1;
    }
    static const char *const codes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
    unsigned code = answer[3] & 15, answers = number(answer + 6);
    printf("%s %u\n", code < 6 ? codes[code] : "another code", answers);
    int passed = dn_expand(answer, answer + n, answer + 12, skipped, sizeof(skipped));
    if (passed > 0) {
        print_records(answer, answer + n, answer + 12 + passed + 4, answers);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "addresses") == 0) {
        return addresses(argv[2], AF_INET);
    }
    if (argc == 3 && strcmp(argv[1], "both") == 0) {
        return addresses(argv[2], AF_UNSPEC);
    }
    if (argc == 3 && strcmp(argv[1], "host") == 0) {
        return host(argv[2]);
    }
    if (argc == 4 && strcmp(argv[1], "ask") == 0) {
        return ask(argv[2], argv[3]);
    }
    fputs("usage: resolve addresses NAME | both NAME | host ADDRESS | ask A|AAAA|SRV|TXT NAME\n", stderr);
    return 2;
}
