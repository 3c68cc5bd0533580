// A database by its URL in the form that resetsvc takes. SQLite comes by libsql, which brings its binary along.
import Database from "libsql";
import pg from "pg";

export const isSqlite = (url) => url.startsWith("sqlite:");

export const openSqlite = (url) => new Database(decodeURIComponent(url.slice("sqlite:///".length)));

export function openPostgres(url) {
  const parts = new URL(url.replace("@/", "@localhost/"));
  return new pg.Pool({
    // A folder is where the server's socket is.
    host: parts.searchParams.get("host") ?? parts.hostname,
    port: Number(parts.port || 5432),
    user: decodeURIComponent(parts.username),
    password: decodeURIComponent(parts.password),
    database: parts.pathname.slice(1),
  });
}
