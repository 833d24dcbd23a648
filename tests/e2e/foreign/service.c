/* A service in C for the tests of switching, as the one in Python: the file "how" of its release says how it misbehaves. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char version[64] = "@VERSION@";
static char release[PATH_MAX], how[4096];
static volatile sig_atomic_t terminated, hung_up, upgrade, child_ended;

static void on_signal(int number) {
    if (number == SIGTERM) terminated = 1;
    if (number == SIGHUP) hung_up = 1;
    if (number == SIGUSR2) upgrade = 1;
    if (number == SIGCHLD) child_ended = 1;
}

static long number_of(const char *word) {
    const char *found = strstr(how, word);
    return found ? (long)strtol(found + strlen(word), NULL, 10) : -1;
}

static long now_ms(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void tell(const char *text) {
    const char *place = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = place ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) return;
    strncpy(to.sun_path, place, sizeof to.sun_path - 1);
    if (*place == '@') to.sun_path[0] = 0;
    sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + strlen(place));
    close(fd);
}

static int listener(void) {
    const char *pid = getenv("LISTEN_PID"), *addr = getenv("ADDR");
    if (pid && atol(pid) == (long)getpid()) return 3;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(addr ? addr + 1 : "0"))};
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    return fd;
}

/* become: the release that the link names, in this very process, which stands where it lies. */
static void become(int fd, pid_t old) {
    char file[PATH_MAX], link[PATH_MAX + 32], text[32], *slash;
    snprintf(link, sizeof link, "%s", release);
    slash = strstr(link, "/releases/");
    strcpy(slash, "/current/bin/service");
    if (!realpath(link, file)) _exit(5);
    snprintf(text, sizeof text, "%ld", (long)getpid());
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", "1", 1);
    snprintf(text, sizeof text, "%ld", (long)old);
    setenv("OLD", text, 1);
    if (fd != 3) dup2(fd, 3);
    fcntl(3, F_SETFD, 0);
    slash = strrchr(file, '/');
    snprintf(link, sizeof link, "%.*s", (int)(slash - file - 4), file);
    if (chdir(link)) _exit(5);
    execl(file, file, (char *)NULL);
    _exit(5);
}

static void answer(int fd) {
    char asked[4096], text[128], whole[256];
    int there = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    if (there < 0) return;
    struct timeval patience = {.tv_sec = 5};
    setsockopt(there, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (recv(there, asked, sizeof asked, 0) > 0) {
        int size = snprintf(text, sizeof text, "%.32s %ld\n", version, (long)getpid());
        size = snprintf(whole, sizeof whole, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", size, text);
        send(there, whole, (size_t)size, MSG_NOSIGNAL);
    }
    close(there);
}

static void look_after_child(pid_t child) {
    int status;
    char text[128];
    child_ended = 0;
    if (child <= 0 || waitpid(child, &status, WNOHANG) != child) return;
    snprintf(text, sizeof text, "STATUS=upgrade failed: process %ld ended with %d before it took over", (long)child, status);
    tell(text);
}

int main(void) {
    char text[64];
    ssize_t size = readlink("/proc/self/exe", release, sizeof release - 1);
    pid_t child = 0;
    release[size > 0 ? size : 0] = 0;
    *strrchr(release, '/') = 0; /* bin */
    *strrchr(release, '/') = 0;
    char file[PATH_MAX + 8];
    snprintf(file, sizeof file, "%s/how", release);
    FILE *in = fopen(file, "r");
    if (in) {
        how[fread(how, 1, sizeof how - 1, in)] = 0;
        fclose(in);
    }
    if (strstr(how, "exit")) return 3;
    struct sigaction act = {.sa_handler = on_signal};
    int signals[] = {SIGTERM, SIGHUP, SIGUSR2, SIGCHLD};
    for (int i = 0; i < 4; i++) sigaction(signals[i], &act, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL); /* one that was executed anew has those of the one before */
    long until = now_ms() + (number_of("slow") > 0 ? number_of("slow") : 0);
    while (now_ms() < until) usleep(10000);
    int fd = listener();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    snprintf(text, sizeof text, "MAINPID=%ld\nREADY=1", (long)getpid());
    tell(text);
    long old = getenv("OLD") ? atol(getenv("OLD")) : 0;
    if (old > 0) kill((pid_t)old, SIGTERM);
    long end = number_of("crash") >= 0 ? now_ms() + number_of("crash") : -1;
    for (;;) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        int ready = poll(&one, 1, 100);
        if (end >= 0 && now_ms() >= end) return 4;
        if (terminated && !strstr(how, "stubborn")) return 0;
        if (terminated) {
            close(fd);
            for (;;) pause();
        }
        if (hung_up) {
            hung_up = 0;
            if (!strstr(how, "deaf")) become(fd, 0);
        }
        if (upgrade) {
            upgrade = 0;
            child = fork();
            if (!child) become(fd, getppid());
        }
        if (child_ended) look_after_child(child);
        if (ready > 0) answer(fd);
    }
}
