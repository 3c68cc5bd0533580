# How the kit speaks with an application: see protocol.py, which says it for all languages.
require "json"

# Answers requests until standard input ends.
def serve(driver)
  # Frameworks print what they like: only answers may reach the kit.
  answers = $stdout.dup
  $stdout.reopen($stderr)
  answers.sync = true
  $stdin.each_line do |line|
    request = JSON.parse(line, symbolize_names: true)
    word = request.delete(:do)
    request[:people] = request[:people].transform_keys(&:to_s) if request.key?(:people)
    begin
      answer = { answer: driver.public_send(word, **request) }
    rescue StandardError => error
      warn error.full_message
      answer = { error: "#{error.class}: #{error.message}" }
    end
    answers.puts(JSON.generate(answer))
  end
end

# A URL in the form that resetsvc takes, as Active Record takes it.
def for_active_record(url)
  return url.sub(%r{\Asqlite:///}, "sqlite3:") if url.start_with?("sqlite:")

  # libpq reads the rest from here; in Active Record's URL the folder of a socket has no place.
  who, rest = url.delete_prefix("postgresql://").split("/", 2)
  user, _, host = who.rpartition("@")
  name, query = rest.split("?", 2)
  ENV["PGUSER"], ENV["PGPASSWORD"] = user.split(":", 2)
  ENV["PGHOST"] = query.to_s[/(?:\A|&)host=([^&]+)/, 1] || host
  "postgresql:///#{name}"
end
