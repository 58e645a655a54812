import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.net.http.HttpTimeoutException;
import java.time.Duration;

/** An HTTP client as most are written: a read timeout, and not a word about keep-alive. */
class Client {
    public static void main(String[] arguments) throws Exception {
        var timeout = Duration.ofSeconds(Long.parseLong(arguments[1]));
        var request = HttpRequest.newBuilder(URI.create(arguments[0])).timeout(timeout).build();
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        try {
            System.out.print(client.send(request, BodyHandlers.ofString()).body());
            System.exit(0);
        } catch (HttpTimeoutException silence) {
            System.err.println(silence.getMessage());
            System.exit(28);
        }
    }
}
