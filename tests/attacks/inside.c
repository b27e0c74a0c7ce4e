/* What an attacking container does in tests/attacks/containers: one attack, bounded, and then it stays as it is until
 * it is killed. A line about its outcome goes to /told/outcome.
 *
 * usage: inside nothing | forks N | fill PATH MIB | say MIB LINE-BYTES | hide MIB | deep DIR LEVELS | flows ADDRESS N |
 * take */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MI           (1u << 20)
#define QUEUES_MOST  8u     /* less than root has, who is everybody else on this machine as well */
#define SIGNALS_MOST 60000u /* likewise */
#define FIRST_PORT   1024u
#define TOLD         "/told/outcome"

__attribute__((format(printf, 1, 2))) static void tell(const char *fmt, ...)
{
    va_list ap;
    FILE *f = fopen(TOLD ".new", "w");
    if (f == NULL) {
        exit(1);
    }
    va_start(ap, fmt);
    vfprintf(f, fmt, ap);
    va_end(ap);
    fputc('\n', f);
    if (fclose(f) != 0 || rename(TOLD ".new", TOLD) != 0) {
        exit(1);
    }
}

static const char *why(int code)
{
    return code == 0 ? "" : strerrorname_np(code);
}

static void forks(unsigned most)
{
    unsigned n = 0;
    int code = 0;
    while (n < most && code == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            for (;;) {
                pause();
            }
        }
        code = pid < 0 ? errno : 0;
        n += pid > 0;
    }
    tell("%u processes %s", n, why(code));
}

/* Writes so many MiB; how many there are then. */
static unsigned write_file(int fd, unsigned mi, int *code)
{
    static char bytes[64 << 10];
    unsigned long long done = 0;
    memset(bytes, 7, sizeof bytes);
    *code = fd < 0 ? errno : 0;
    while (*code == 0 && done < (unsigned long long)mi * MI) {
        ssize_t n = write(fd, bytes, sizeof bytes);
        *code = n < 0 ? errno : 0;
        done += n < 0 ? 0 : (unsigned long long)n;
    }
    return (unsigned)(done / MI);
}

static void fill(const char *path, unsigned mi)
{
    int code;
    unsigned done = write_file(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600), mi, &code);
    tell("%u MiB written %s", done, why(code));
}

static void hide(unsigned mi)
{
    int code, fd = open("/hidden", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    unsigned done = write_file(fd, mi, &code);
    fsync(fd);
    unlink("/hidden");
    tell("%u MiB deleted and open %s", done, why(code));
}

static void say(unsigned mi, unsigned each)
{
    static char line[64 << 10];
    memset(line, 'x', sizeof line);
    for (size_t at = each - 1; at < sizeof line; at += each) {
        line[at] = '\n';
    }
    unsigned long long left = (unsigned long long)mi * MI;
    while (left > 0) {
        ssize_t n = write(1, line, sizeof line);
        if (n < 0) {
            break;
        }
        left -= (unsigned long long)n < left ? (unsigned long long)n : left;
    }
    tell("%u MiB logged", mi - (unsigned)(left / MI));
}

static void deep(const char *dir, unsigned levels)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = 0;
    unsigned n = 0;
    for (; n < levels && code == 0; n++) {
        int next = -1;
        if (mkdirat(at, "beside", 0700) != 0 || mkdirat(at, "down", 0700) != 0 ||
            (next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
            code = errno;
        }
        close(at);
        at = next;
    }
    write_file(openat(at, "hidden", O_WRONLY | O_CREAT | O_CLOEXEC, 0600), 1, &code);
    tell("%u levels %s", n, why(code));
}

/* A packet to each port is a connection to the kernel. */
static void flows(const char *address, unsigned count)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    unsigned sent = 0;
    inet_pton(AF_INET, address, &to.sin_addr);
    for (unsigned i = 0; i < count; i++) {
        to.sin_port = htons((unsigned short)(FIRST_PORT + i % (65536 - FIRST_PORT)));
        sent += sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to) == 1;
    }
    tell("%u packets", sent);
}

static void take(void)
{
    unsigned queues = 0, signals = 0;
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 8192};
    sigset_t set;
    for (char name[32]; queues < QUEUES_MOST; queues++) {
        snprintf(name, sizeof name, "/q%u", queues);
        if (mq_open(name, O_CREAT | O_RDWR, 0600, &attr) < 0) {
            break;
        }
    }
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (signals < SIGNALS_MOST && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0) {
        signals++;
    }
    tell("%u queues, %u signals", queues, signals);
}

int main(int argc, char **argv)
{
    const char *attack = argc > 1 ? argv[1] : "", *first = argc > 2 ? argv[2] : "", *second = argc > 3 ? argv[3] : "";
    if (strcmp(attack, "nothing") == 0) {
        tell("nothing");
    } else if (strcmp(attack, "forks") == 0) {
        forks((unsigned)atoi(first));
    } else if (strcmp(attack, "fill") == 0) {
        fill(first, (unsigned)atoi(second));
    } else if (strcmp(attack, "say") == 0) {
        say((unsigned)atoi(first), (unsigned)atoi(second));
    } else if (strcmp(attack, "hide") == 0) {
        hide((unsigned)atoi(first));
    } else if (strcmp(attack, "deep") == 0) {
        deep(first, (unsigned)atoi(second));
    } else if (strcmp(attack, "flows") == 0) {
        flows(first, (unsigned)atoi(second));
    } else if (strcmp(attack, "take") == 0) {
        take();
    } else {
        return 2;
    }
    for (;;) {
        pause();
    }
}
