<?php
// How the kit speaks with an application: see protocol.py, which says it for all languages.

/** Answer requests until standard input ends. */
function serve(object $driver): void
{
    // Frameworks print what they like: only answers may reach the kit.
    ob_start(static fn (string $printed): string => '', 1);
    while (($line = fgets(STDIN)) !== false) {
        $request = json_decode($line, true, flags: JSON_THROW_ON_ERROR);
        $word = $request['do'];
        unset($request['do']);
        try {
            $answer = ['answer' => $driver->$word(...$request)];
        } catch (Throwable $error) {
            fwrite(STDERR, "$error\n");
            $answer = ['error' => $error::class . ': ' . $error->getMessage()];
        }
        fwrite(STDOUT, json_encode($answer, JSON_THROW_ON_ERROR) . "\n");
    }
}

/** A MariaDB's URL in the form that resetsvc takes, in parts: name, user, password, host, port, and socket or null. */
function parts_of(string $url): array
{
    // A URL without a host is none to PHP.
    $parts = parse_url(str_replace('@/', '@localhost/', $url));
    parse_str($parts['query'] ?? '', $options);
    return [
        'name' => ltrim($parts['path'], '/'), 'user' => urldecode($parts['user']), 'password' => urldecode($parts['pass'] ?? ''),
        'host' => $parts['host'], 'port' => $parts['port'] ?? 3306, 'socket' => $options['unix_socket'] ?? null,
    ];
}

/** Where the Debian packages were unpacked. */
function unpacked(string $path): string
{
    return dirname(__DIR__, 3) . '/.frameworks/debian/usr/share/' . $path;
}
