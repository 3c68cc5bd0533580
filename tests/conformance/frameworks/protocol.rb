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

# A URL in the form that resetsvc takes, as Active Record takes it: SQLite only.
def for_active_record(url) = url.sub(%r{\Asqlite:///}, "sqlite3:")
