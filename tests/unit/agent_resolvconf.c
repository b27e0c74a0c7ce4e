/* What a node's resolv.conf says (agent/util/resolvconf.h). */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "agent/util/resolvconf.h"
#include "base/mem.h"

/* CoreDNS led back to itself by the stub (kubeadm#1162): the servers behind it are asked. */
static void the_stub_of_systemd_is_told_from_a_server(void **state)
{
    static const struct {
        const char *text;
        bool is_stub;
    } rows[] = {
        {"nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n", true},
        {"# 10.0.0.1\n; nameserver 10.0.0.1\nnameserver\t127.0.0.53", true},
        {"nameserver 127.0.0.53\nnameserver 127.0.0.53\n", true},
        {"nameserver 127.0.0.53\nnameserver 10.0.0.1\n", false},
        {"nameserver 127.0.0.54\n", false},
        {"nameserver 10.0.0.1\n", false},
        {"search a.example\n", false},
        {"", false},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct resolvconf r;
        resolvconf_init(&r);
        resolvconf_read(&r, str_of(rows[i].text));
        if (resolvconf_is_stub(&r) != rows[i].is_stub) {
            fail_msg("%s", rows[i].text);
        }
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_stub_of_systemd_is_told_from_a_server)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
