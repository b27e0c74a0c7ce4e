#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/net/net_int.h"

bool net_addr_split(const char *addr, char host[256], char port[8])
{
    const char *colon = strrchr(addr, ':');
    if (colon == NULL) {
        return false;
    }
    const char *from = addr;
    size_t n = (size_t)(colon - addr);
    if (addr[0] == '[') {
        if (n < 2 || colon[-1] != ']') {
            return false;
        }
        from++;
        n -= 2;
    } else if (memchr(addr, ':', n) != NULL) {
        return false; /* an IPv6 address without brackets: where does the port begin? */
    }
    size_t digits = strspn(colon + 1, "0123456789");
    if (n > 255 || digits == 0 || digits > 5 || colon[1 + digits] != '\0' || atoi(colon + 1) > 65535) {
        return false;
    }
    memcpy(host, from, n);
    host[n] = '\0';
    memcpy(port, colon + 1, digits + 1);
    return true;
}

void net_addr_text(const struct sockaddr *sa, char out[NET_ADDR_MAX])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)sa;
        if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
            inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, ip, sizeof ip);
            snprintf(out, NET_ADDR_MAX, "%s:%u", ip, ntohs(in6->sin6_port));
            return;
        }
        inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof ip);
        snprintf(out, NET_ADDR_MAX, "[%s]:%u", ip, ntohs(in6->sin6_port));
    } else if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, ip, sizeof ip);
        snprintf(out, NET_ADDR_MAX, "%s:%u", ip, ntohs(in->sin_port));
    } else {
        snprintf(out, NET_ADDR_MAX, "unknown address");
    }
}

void net_addr_network(const char *addr, char out[NET_NETWORK_MAX])
{
    char host[256], port[8], text[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    struct in_addr v4;
    snprintf(out, NET_NETWORK_MAX, "?");
    if (!net_addr_split(addr, host, port)) {
        return;
    }
    host[strcspn(host, "%")] = '\0'; /* a link-local address names its interface */
    if (inet_pton(AF_INET, host, &v4) == 1) {
        inet_ntop(AF_INET, &v4, out, NET_NETWORK_MAX);
    } else if (inet_pton(AF_INET6, host, &v6) == 1) {
        memset(v6.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &v6, text, sizeof text);
        snprintf(out, NET_NETWORK_MAX, "%s/64", text);
    }
}

const char *net_peer_word(const struct pki_identity *who, const char *addr, char out[NET_PEER_MAX])
{
    if (who != NULL && who->role != PKI_ROLE_NONE) {
        snprintf(out, NET_PEER_MAX, "%d/%s", (int)who->role, who->name);
    } else {
        char network[NET_NETWORK_MAX] = "";
        net_addr_network(addr, network);
        snprintf(out, NET_PEER_MAX, "%s", network);
    }
    return out;
}
